"""How much structure a request may have, and the refusal of what cannot be decoded."""

from gateway.values import Reject

MAX_LEVELS = 32
MAX_PAIRS = 1000


def undecodable(why: str) -> Reject:
    """The refusal; `why` never quotes what was sent."""
    return Reject("invalid-encoded-params", f"The params cannot be decoded: {why}.")
