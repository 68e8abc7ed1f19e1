"""What services that sign people in may use."""

from typing import NamedTuple

from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords


class Credentials(NamedTuple):
    """The capability `call.identity`.

    `passwords` hashes and verifies, in threads of its own; `limits.guessing` wraps the check of a
    password, so that guesses are counted for the account and for the caller's address.
    """

    passwords: Passwords
    limits: Limits
