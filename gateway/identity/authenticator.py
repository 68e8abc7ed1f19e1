"""What the pipeline judges callers with."""

from typing import NamedTuple

from gateway.identity.limits import Limits
from gateway.identity.passwords import Passwords
from gateway.identity.token_store import TokenStore


class Authenticator(NamedTuple):
    """The worker's memory of tokens, its limits, and its threads for passwords."""

    token_store: TokenStore
    limits: Limits
    passwords: Passwords
