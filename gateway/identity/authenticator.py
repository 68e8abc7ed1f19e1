"""What the pipeline judges callers with."""

from typing import NamedTuple

from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords
from gateway.identity.token_store import Lookup


class Guard(NamedTuple):
    """The worker's memory of tokens, its limits, and its threads for passwords."""

    lookup: Lookup
    limits: Limits
    passwords: Passwords
