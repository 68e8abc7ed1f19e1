"""What travels down the pipeline: each stage takes some of these and makes the next.

They are named tuples: frozen like a dataclass, and made in about half the time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import Record

_EMPTY: Mapping[str, Any] = {}

Error = Mapping[str, str]
"""One entry of an answer's `errors`: `attr`, a dotted param name, and `message`."""


class Rejection(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """End the request with a documented status.

    `slug` is one of the common statuses or one that the route lists as its own; any other
    becomes `application-crash`. `errors` are entries made with `Rejection.error`; `extra` is what
    else the answer has, such as the session beside `client-required`.
    """

    def __init__(
        self,
        slug: str,
        message: str | None = None,
        *,
        errors: Sequence[Error] = (),
        retry_after: int | None = None,
        ignored: Sequence[str] = (),
        extra: Mapping[str, Any] = _EMPTY,
    ) -> None:
        super().__init__(slug)
        self.slug = slug
        self.message = message
        self.errors = errors
        self.retry_after = retry_after
        self.ignored = ignored
        self.extra = extra

    @staticmethod
    def error(attr: str, message: str) -> Error:
        """One entry for `errors`; the message must never quote the value."""
        return {"attr": attr, "message": message}


class ClientDisconnectedError(Exception):
    """The connection closed before the body was complete: there is nobody to answer."""


class Rate(NamedTuple):
    """At most so many calls in so many seconds."""

    calls: int
    seconds: int


class Request(NamedTuple):
    """What arrived, before anything is known of it. `path` and `query` are raw bytes."""

    id: str
    method: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    address: str

    @property
    def bearer(self) -> str | None:
        """The token of the header `Authorization: Bearer …`, if there is one."""
        given = self.headers.get(b"authorization")
        if given is None:
            return None
        scheme, _, token = given.partition(b" ")
        return (scheme.lower() == b"bearer" and token.strip().decode("latin-1")) or None


class Params(NamedTuple):
    """The merged params as they were sent.

    `from_text` names the top-level params that came as text (path, query, form) and are still
    to be turned into the types of the schema. `holds_nul` is true if some text may hold a NUL.
    """

    values: dict[str, Any]
    from_text: frozenset[str]
    holds_nul: bool


class Session(NamedTuple):
    """A signed-in user's session, with what the authenticate stage knows of the user."""

    id: int
    user_id: int
    first_name: str
    last_name: str
    email: str
    application: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    remember_me: bool
    created_at: datetime
    last_used_at: datetime
    address: str | None

    def used_at(self, now: datetime) -> "Session":
        """The session as it is after a use; in a fifth of the time of `_replace`."""
        *before, _, address = self
        return tuple.__new__(Session, (*before, now, address))

    @classmethod
    def of(cls, row: Record) -> "Session":
        """A session from a row of `gateway.live_sessions` with these columns."""
        arrays = {name: tuple(row[name]) for name in ("roles", "permissions")}
        return cls(**{**row, **arrays})


class Application(NamedTuple):
    """A machine client, with the routes that the token in hand may call."""

    id: int
    slug: str
    name: str
    created_at: datetime
    routes: tuple[str, ...]
    token_id: int


class Caller(NamedTuple):
    """Who calls: a session, an application, or (on a public route) neither.

    On a public route `token` is what came as `Authorization: Bearer`, of which nothing is known.
    `application_slug` is the effective application and `role` the role used for it.
    """

    token: str | None
    session: Session | None
    application: Application | None
    application_slug: str | None
    role: str | None

    @property
    def user_id(self) -> int | None:
        """The user that the caller is, or None for an application."""
        return self.session.user_id if self.session else None


ANONYMOUS = Caller(None, None, None, None, None)


class Valid(NamedTuple):
    """Params that fit the schema, in its types, without unknown and without common ones."""

    params: dict[str, Any]
    ignored: tuple[str, ...]
    session_view: str | None
    application_view: str | None


class QueuedMail(NamedTuple):
    """A mail that a reply tells of: its row of the outbox, and the place for its time.

    `path` is dotted and leads to the place in the reply's data for the time of sending.
    """

    id: int
    path: str


class Reply(NamedTuple):
    """What a service's action returns: `data`, and headers to add to the answer.

    With `mail` the answer waits until that mail was sent, after the work was committed.
    """

    data: Any = None
    headers: Mapping[str, str] | None = None
    mail: QueuedMail | None = None


class Response(NamedTuple):
    """An answer, ready to be sent."""

    http: int
    slug: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
