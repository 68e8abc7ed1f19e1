"""The values of the pipeline: each stage takes some of these and creates the next.

They are named tuples: frozen like a dataclass, and created in about half the time.
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

    `slug` is one of the common statuses or one that the route lists as its own; any other becomes
    `application-crash`. `errors` are entries of `Rejection.error`; `extra` are further fields of
    the answer, such as the session beside `client-required`.
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

    def without_frames(self) -> "Rejection":
        """The rejection without its traceback and cause: their frames would keep the body."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    @staticmethod
    def error(attr: str, message: str) -> Error:
        """One entry of `errors`; the message must never quote the value."""
        return {"attr": attr, "message": message}


class ClientDisconnectedError(Exception):
    """The client disconnected: there is no one to answer."""


class ServiceAnswerError(Exception):
    """A service outside this process gave an answer that its route does not document.

    The text is a sentence that names the service, and quotes no value of the answer.
    """


class Rate(NamedTuple):
    """A limit: at most `calls` in `seconds`."""

    calls: int
    seconds: int


class TraceContext(NamedTuple):
    """A place in a distributed trace, as W3C Trace Context names it.

    `trace_id` and `span_id` are 32 and 16 lower-case hex digits; whatever is called from here gets
    `span_id` as its parent. `sampled` is the flag that is passed on, and `state` the `tracestate`,
    as it came. `parent_id` is the span above this one, None for the first of a trace. `recorded` is
    whether the gateway exports its spans.
    """

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""
    parent_id: str | None = None
    recorded: bool = False

    @property
    def traceparent(self) -> str:
        """The header that passes this place on."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @property
    def is_logged(self) -> bool:
        """Whether log lines name the trace: the request brought it, or its spans are exported."""
        return self.recorded or self.parent_id is not None


class Request(NamedTuple):
    """The request as it arrived; `path` and `query` are raw bytes, header names lower case.

    `received_at` is when its head was complete, in seconds of the event loop's clock: from there
    the timeout of its route counts. `trace` is its place in a trace, if it brought one or the
    gateway is set up for traces.
    """

    id: str
    method: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    address: str
    received_at: float
    trace: TraceContext | None = None

    @property
    def bearer(self) -> str | None:
        """The token of the header `Authorization: Bearer …`, if there is one."""
        header = self.headers.get(b"authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(b" ")
        return (scheme.lower() == b"bearer" and token.strip().decode("latin-1")) or None


class Params(NamedTuple):
    """The merged params, as the client sent them.

    `from_text` names the top-level params that arrived as text (path, query, form), to be converted
    to the types of the schema. `holds_nul` is true if some text may contain a NUL. `is_large` is
    true if the stages after decode take so long that other requests should have their turn first.
    """

    values: dict[str, Any]
    from_text: frozenset[str]
    holds_nul: bool
    is_large: bool = False


class Session(NamedTuple):
    """A signed-in user's session, with the user's names, roles and permissions."""

    id: int
    user_id: int
    first_name: str
    last_name: str
    email: str
    application: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    remember_me: bool
    remember_since: datetime | None
    created_at: datetime
    last_used_at: datetime
    address: str | None

    def used_at(self, now: datetime) -> "Session":
        """The session after a use; it takes a fifth of the time of `_replace`."""
        *before, _, address = self
        return tuple.__new__(Session, (*before, now, address))

    @classmethod
    def of(cls, row: Record) -> "Session":
        """A session from a row of `gateway.live_sessions` with these columns."""
        arrays = {name: tuple(row[name]) for name in ("roles", "permissions")}
        return cls(**{**row, **arrays})


class Application(NamedTuple):
    """A machine client, with the routes that its token may call."""

    id: int
    slug: str
    name: str
    created_at: datetime
    routes: tuple[str, ...]
    token_id: int


class Caller(NamedTuple):
    """Who calls: a session, an application, or (on a public route) neither.

    On a public route `token` is the bearer token of the request, which is not checked.
    `application_slug` is the effective application, and `role` the role that the caller has in it.
    """

    token: str | None
    session: Session | None
    application: Application | None
    application_slug: str | None
    role: str | None

    @property
    def user_id(self) -> int | None:
        """The id of the user; None for an application or an anonymous caller."""
        return self.session.user_id if self.session else None


ANONYMOUS = Caller(token=None, session=None, application=None, application_slug=None, role=None)


class Valid(NamedTuple):
    """Params that match the schema, in its types, without unknown and common params.

    `ignored` are the dotted names of the unknown ones, any text; the views are the requested ones.
    """

    params: dict[str, Any]
    ignored: tuple[str, ...]
    session_view: str | None
    application_view: str | None


class QueuedMail(NamedTuple):
    """The mail of a reply: the id of its message in the outbox.

    `path` is a dotted path in the reply's data, at which the time of sending is set.
    """

    id: int
    path: str


class Reply(NamedTuple):
    """The result of a service's action: `data`, and headers to add to the answer.

    With `mail`, the answer waits until that mail is sent, after the work is committed. `ignored`
    names params of the schema that this call did not use; the answer names them for the caller.
    """

    data: Any = None
    headers: Mapping[str, str] | None = None
    mail: QueuedMail | None = None
    ignored: tuple[str, ...] = ()


class Response(NamedTuple):
    """An answer, ready to send; `http` is its status code."""

    http: int
    slug: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
