"""How much structure a request may have, and the refusal of what cannot be decoded."""

from gateway import statuses
from gateway.values import Rejection

MAX_DEPTH = 32
MAX_PAIRS = 1000


def undecodable(why: str) -> Rejection:
    """The refusal; `why` never quotes what was sent."""
    return Rejection(statuses.INVALID_ENCODED_PARAMS, f"The params cannot be decoded: {why}.")
