"""What the header `Idempotency-Key` claims: that this caller's call of this route is done once."""

import hashlib
from typing import Any, NamedTuple

import orjson

from gateway import statuses
from gateway.registry.records import Route
from gateway.values import Caller, Rejection, Request

HEADER = b"idempotency-key"
ATTR = "Idempotency-Key"
MAX_KEY_LENGTH = 255


class Claim(NamedTuple):
    """`key` hashes caller, route and key; `params` hashes the params."""

    key: bytes
    params: bytes

    @property
    def lock(self) -> int:
        """The number of the advisory lock; that two keys share one is rare and harmless."""
        return int.from_bytes(self.key[:8], signed=True)


def claim(request: Request, route: Route, caller: Caller, params: dict[str, Any]) -> Claim | None:
    """What a request claims; None if the route takes no keys, or the caller sent none.

    Raises Rejection: missing-param, invalid-param.
    """
    if route.idempotency == "off":
        return None
    key = request.headers.get(HEADER)
    if key is None:
        if route.idempotency == "required":
            missing = Rejection.error(ATTR, "missing")
            raise Rejection(statuses.MISSING_PARAM, errors=[missing])
        return None
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        wrong = Rejection.error(ATTR, f"must have 1 to {MAX_KEY_LENGTH} characters")
        raise Rejection(statuses.INVALID_PARAM, errors=[wrong])
    # With the length before each part, so that no two different claims are the same bytes.
    parts = [_owner(caller).encode(), route.name.encode(), key]
    text = b"".join(len(part).to_bytes(4) + part for part in parts)
    return Claim(hashlib.sha256(text).digest(), _fingerprint(caller, params))


def _owner(caller: Caller) -> str:
    if caller.application:
        return f"application:{caller.application.id}"
    return f"user:{caller.user_id}"


def _fingerprint(caller: Caller, params: dict[str, Any]) -> bytes:
    """A hash of the params, without the token and the views, which do not change the work."""
    content = [caller.application_slug, params]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
