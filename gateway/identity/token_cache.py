"""A worker's cache of tokens; entries last a few seconds, or until a notice invalidates them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.identity import tokens
from gateway.values import Application, Session

FRESH = 4.0
"""Seconds for which an answer of the database is used without a new query."""

GRACE = 60.0
"""Seconds for which it is used while the database is unavailable."""

NEVER = -math.inf
"""When an entry was confirmed that a notice has invalidated."""

MAX_KNOWN = 100_000
MAX_UNKNOWN = 10_000
MAX_TEXTS = 10_000
"""Entries at most: of known tokens, of unknown ones, and of those found without a digest."""

ALL = "all"
"""The notice that concerns every token."""

Principal = Session | Application


@dataclass(slots=True)
class _Entry:
    """A token's principal, as the database confirmed it at `confirmed` (monotonic seconds).

    `confirmed` is `NEVER` once the entry must not be used any more.
    """

    principal: Principal
    confirmed: float


class TokenCache:
    """Principals by the digest of their token, and digests of unknown tokens.

    Tokens that were just used are also found by their text, which saves the digest. `clock` gives
    monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._by_text: dict[str, _Entry] = {}
        self._unknown: dict[bytes, float] = {}
        self._digests: dict[str, set[bytes]] = {}
        self._loading: dict[bytes, set[str]] = {}
        self.listening_since = -GRACE

    def fresh(self, token: str) -> Principal | None:
        """The principal of a token that was confirmed in the last `FRESH` seconds."""
        entry = self._by_text.get(token)
        if entry and self.is_fresh(entry.confirmed):
            return entry.principal
        entry = self._entries.get(tokens.digest(token))
        if not (entry and self.is_fresh(entry.confirmed)):
            return None
        if len(self._by_text) >= MAX_TEXTS:
            del self._by_text[next(iter(self._by_text))]
        self._by_text[token] = entry
        return entry.principal

    def within_grace(self, digest: bytes) -> Principal | None:
        """The principal of a token that was confirmed in the last `GRACE` seconds."""
        entry = self._entries.get(digest)
        return entry.principal if entry and self.clock() - entry.confirmed < GRACE else None

    def is_unknown(self, digest: bytes) -> bool:
        """Whether the database said in the last `FRESH` seconds that this token does not exist."""
        return self.is_fresh(self._unknown.get(digest, -GRACE))

    def has_seen(self, digest: bytes) -> bool:
        """Whether the cache has an entry for this token, however old."""
        return digest in self._entries or digest in self._unknown

    def is_fresh(self, confirmed: float) -> bool:
        """Whether an answer of that time is still valid: no notice can have been missed since."""
        return self.clock() - confirmed < FRESH and confirmed > self.listening_since

    def begin_load(self, digest: bytes) -> None:
        """Collect the notices that arrive while a token is loaded: the answer may be older."""
        self._loading[digest] = set()

    def end_load(self, digest: bytes) -> set[str]:
        """The notices since `begin_load`."""
        return self._loading.pop(digest)

    def store(self, digest: bytes, principal: Principal, confirmed: float) -> None:
        """Remember a principal; if the cache is full, the oldest entry is dropped."""
        self.forget(digest)
        self._entries[digest] = _Entry(principal, confirmed)
        for key in notice_keys(principal):
            self._digests.setdefault(key, set()).add(digest)
        if len(self._entries) > MAX_KNOWN:
            self.forget(next(iter(self._entries)))

    def store_unknown(self, digest: bytes, confirmed: float) -> None:
        """Remember that no token has this digest; if the cache is full, the oldest is dropped."""
        self.forget(digest)
        self._unknown[digest] = confirmed
        if len(self._unknown) > MAX_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]

    def forget(self, digest: bytes) -> None:
        """Drop the entry of a token."""
        self._unknown.pop(digest, None)
        if entry := self._entries.pop(digest, None):
            # It may still be found by the token's text.
            entry.confirmed = NEVER
        for key in notice_keys(entry.principal) if entry else ():
            self._digests[key].discard(digest)
            if not self._digests[key]:
                del self._digests[key]

    def invalidate(self, notice: str) -> None:
        """Use no entry that a notice names; tokens being loaded are not stored either."""
        for notices in self._loading.values():
            notices.add(notice)
        if notice.startswith(ALL):
            self.invalidate_all()
        for digest in self._digests.get(notice, ()):
            # Not dropped: the caller is still known, and does not guess.
            self._entries[digest].confirmed = NEVER

    def invalidate_all(self) -> None:
        """Query the database again for every token: notices may have been missed."""
        self.listening_since = self.clock()
        for notices in self._loading.values():
            notices.add(ALL)


def notice_keys(principal: Principal) -> tuple[str, ...]:
    """The notices that name a principal: the payloads that the database's triggers send."""
    if isinstance(principal, Session):
        return f"session:{principal.id}", f"user:{principal.user_id}"
    return (f"token:{principal.token_id}",)
