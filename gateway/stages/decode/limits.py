"""Limits on the structure of params, and the refusal of undecodable ones."""

from gateway import statuses
from gateway.values import Rejection

MAX_DEPTH = 32
MAX_PAIRS = 1000
MAX_LEVELS = 10 * MAX_PAIRS
MAX_STRAYS = 1000


def undecodable(reason: str) -> Rejection:
    """The refusal invalid-encoded-params; `reason` must not quote the request."""
    return Rejection(statuses.INVALID_ENCODED_PARAMS, f"The params cannot be decoded: {reason}.")
