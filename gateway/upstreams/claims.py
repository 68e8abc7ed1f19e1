"""Reads the header `Idempotency-Key`: it claims that a caller's call of a route is done once."""

import hashlib
from typing import Any, NamedTuple

import orjson

from gateway import statuses
from gateway.registry import paths
from gateway.registry.records import Route
from gateway.values import Caller, Rejection, Request

HEADER = b"idempotency-key"
ATTR = "Idempotency-Key"
MAX_KEY_LENGTH = 255


class Claim(NamedTuple):
    """SHA-256 digests: `key` of caller, method, path and key, `params` of the params."""

    key: bytes
    params: bytes

    @property
    def lock(self) -> int:
        """The number of the advisory lock; two keys rarely share one, which is harmless."""
        return int.from_bytes(self.key[:8], signed=True)


def claim(request: Request, route: Route, caller: Caller, params: dict[str, Any]) -> Claim | None:
    """The claim of a request; None if the caller sent no key.

    Raises Rejection: missing-param, invalid-param. A route that takes no keys refuses one, since
    the caller would rely on it; GET ignores it, since reading twice does no harm.
    """
    if route.idempotency == "off":
        if HEADER in request.headers and route.method != "GET":
            refused = Rejection.error(ATTR, "is not supported by this route")
            raise Rejection(statuses.INVALID_PARAM, errors=[refused])
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
    # With its length before each part, so that two different claims never have the same bytes.
    # Method and path name the route, since a repeat after a rename is still a repeat.
    path = paths.shape(route.path)
    parts = [_owner(caller).encode(), route.method.encode(), path.encode(), key]
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
