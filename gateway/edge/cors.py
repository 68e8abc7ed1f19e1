"""Cross-origin requests: which pages of other origins may call, and read what."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

ALLOWED_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Min-Registry-Revision, "
    b"Traceparent, Tracestate"
)
EXPOSED_HEADERS = (
    b"X-Request-Id, X-Registry-Revision, X-Ignored-Params, Retry-After, Idempotent-Replayed"
)
PREFLIGHT_SECONDS = b"600"


class Cors:
    """The origins whose pages may read answers; `*` is any. False if there are none."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, request_headers: Mapping[bytes, bytes]) -> Headers:
        """What an answer says to a page of the request's origin."""
        origin = request_headers.get(b"origin")
        vary = [(b"vary", b"Origin")]
        if origin is None or not (origin in self._origins or b"*" in self._origins):
            return vary
        return [
            *vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED_HEADERS),
        ]


def preflight_headers(methods: Sequence[str]) -> Headers:
    """The answer to OPTIONS on a path that takes these methods."""
    shown = [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]
    allow = ", ".join(shown).encode()
    return [
        (b"allow", allow),
        (b"access-control-allow-methods", allow),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
