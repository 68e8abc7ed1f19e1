"""What services that sign users in may use."""

from typing import NamedTuple

from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords


class Credentials(NamedTuple):
    """The capability `call.identity`.

    `passwords` hashes and verifies in its own threads. `limits.guessing` wraps the check of a
    password, and counts wrong ones for the account and for the caller's address. `max_sessions` is
    how many sessions a user may have at once.
    """

    passwords: Passwords
    limits: Limits
    max_sessions: int
