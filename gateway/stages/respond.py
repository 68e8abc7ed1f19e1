"""Respond: write a reply or a refusal as bytes, in the envelope of the route."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from gateway import statuses
from gateway.identity import views
from gateway.registry import envelopes
from gateway.registry.schema import may_be_shown
from gateway.registry.table import Match, Table
from gateway.statuses import Status
from gateway.values import Caller, Rejection, Reply, Request, Response, Valid

RETRY_AFTER = 1
"""Seconds in `Retry-After` if the refusal names none."""

MAX_IGNORED = 20
MAX_INSPECTED = 1000
"""Names that are inspected to find those to show: a body may have a hundred thousand."""

OWN_HEADERS = {
    *("content-length", "content-type", "transfer-encoding", "connection"),
    *("x-request-id", "x-registry-revision", "x-ignored-params"),
}
_SUCCESSFUL = statuses.SUCCESS.slug
_NO_EXTRA: Mapping[str, Any] = {}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_SHOPLO_CODES = {
    statuses.INVALID_TOKEN: "202",
    statuses.CLIENT_REQUIRED: "202",
    statuses.SESSION_REQUIRED: "202",
    statuses.PERMISSION_DENIED: "202",
    statuses.SESSION_EXPIRED: "251",
}
"""The codes that Shoplo clients test for: 202, get a new token; 251, the session has expired."""

_SHOPLO_MEANINGS = {
    # The usual meaning speaks of `session` in the answer, which this envelope does not have.
    statuses.CLIENT_REQUIRED: "The user has no client, employee or liaison record, and therefore "
    "no role. Register the user as a client with the token of the user's session.",
}


@dataclass(slots=True)
class Trace:
    """How far a request came: what a refusal's envelope and the access line need to know.

    `has_help` is whether this gateway has documentation, which a refusal then names in `help`.
    `is_cancelled` is whether its task was cancelled before it had an answer.
    """

    has_help: bool = False
    is_cancelled: bool = False
    table: Table | None = None
    match: Match | None = None
    caller: Caller | None = None
    valid: Valid | None = None


class Refusal(NamedTuple):
    """The parts of a refusal, from which its envelope is written."""

    status: Status
    rejection: Rejection
    request_id: str
    extra: Mapping[str, Any]
    help: Mapping[str, str]


def success(reply: Reply, valid: Valid, caller: Caller, match: Match) -> Response:
    """The answer to a successful action."""
    has_view = valid.session_view or valid.application_view
    extra = _views(valid, caller, match) if has_view else _NO_EXTRA
    body = _SUCCESS[match.route.envelope](reply.data, extra)
    headers = _encode_headers(reply.headers) if reply.headers else []
    headers += match.route.documentation.headers
    if valid.ignored or reply.ignored:
        headers += _ignored_header(valid.ignored + reply.ignored)
    return Response(200, _SUCCESSFUL, headers, orjson.dumps(body))


def refusal(rejection: Rejection, request: Request, trace: Trace | None = None) -> Response:
    """The answer to a request that was refused or that failed, wherever it ended."""
    route = trace.match.route if trace and trace.match else None
    status = (route.statuses if route else statuses.COMMON)[rejection.slug]
    help_ = {"help": _help_path(status.slug, trace)} if trace and trace.has_help else _NO_EXTRA
    refused = Refusal(status, rejection, request.id, _extra(rejection, trace), help_)
    body = _REFUSAL[route.envelope if route else _envelope_without_route(request, trace)](refused)
    headers = _ignored_header(rejection.ignored)
    if route:
        headers += route.documentation.headers
    if status.http in {429, 503}:
        headers.append((b"retry-after", str(rejection.retry_after or RETRY_AFTER).encode()))
    return Response(status.http, status.slug, headers, orjson.dumps(body))


def _help_path(slug: str, trace: Trace) -> str:
    """The page, and the place on it, that explain a status: the route's page, if it has one."""
    if trace.match is None or not trace.match.route.documentation.documented:
        return statuses.help_path(slug)
    route = trace.match.route
    # The page of a path shows one of its routes, which may not have this status.
    is_shared = len(trace.match.table.with_pattern(route.segments)) > 1
    query = f"?method={route.method}" if is_shared else ""
    return f"/documentation{quote(route.path)}{query}#status.{slug}"


def _envelope_without_route(request: Request, trace: Trace | None) -> str:
    """The envelope of a request without a route: before match, there is no table either."""
    return trace.table.envelopes.find(request.path) if trace and trace.table else envelopes.DEFAULT


def _extra(rejection: Rejection, trace: Trace | None) -> Mapping[str, Any]:
    """The rejection's own extra; otherwise the views that the caller requested, once valid."""
    if rejection.extra or not (trace and trace.match and trace.caller and trace.valid):
        return rejection.extra
    return _views(trace.valid, trace.caller, trace.match)


def _views(valid: Valid, caller: Caller, match: Match) -> Mapping[str, Any]:
    applications = match.table.applications
    return views.requested(caller, applications, valid.session_view, valid.application_view)


def _encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [_encode_header(name, value) for name, value in headers.items()]


def _encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header of a service's reply. Raises ValueError if it is invalid or reserved."""
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"a reply has an invalid header: {name!r}")
    if name.lower() in OWN_HEADERS:
        raise ValueError(f"a reply must not set the header {name}: the gateway sets it")
    return name.lower().encode(), value.encode("latin-1")


def _ignored_header(names: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """`X-Ignored-Params`: names that may be shown, and how many others there are, as `+3`."""
    if not names:
        return []
    shown = [name for name in names[:MAX_INSPECTED] if may_be_shown(name)][:MAX_IGNORED]
    others = [f"+{len(names) - len(shown)}"] if len(shown) < len(names) else []
    return [(b"x-ignored-params", ", ".join(shown + others).encode())]


def _plano_success(data: Any, extra: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    body = {"code": 200, "status": _SUCCESSFUL}
    if data is not None:
        body["data"] = data
    if extra:
        body.update(extra)
    return body


def _plano_refusal(parts: Refusal) -> dict[str, Any]:
    status, rejection = parts.status, parts.rejection
    errors = {"errors": list(rejection.errors)} if rejection.errors else {}
    return {
        "code": status.http,
        "status": status.slug,
        "message": rejection.message or status.meaning,
        **errors,
        **parts.extra,
        "request_id": parts.request_id,
        **parts.help,
    }


def _shoplo_success(data: Any, extra: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return {**data, **extra} if extra and isinstance(data, dict) else data


def _shoplo_refusal(parts: Refusal) -> dict[str, Any]:
    status, rejection = parts.status, parts.rejection
    return {
        "status": "err",
        "error": _shoplo_code(parts),
        "error_msg": rejection.message or _SHOPLO_MEANINGS.get(status.slug, status.meaning),
        "code": status.http,
        "errors": list(rejection.errors),
        "request_id": parts.request_id,
        **parts.help,
    }


def _shoplo_code(parts: Refusal) -> str:
    """The code of a refusal; a missing token has the code that tells clients to get a new one."""
    slug = parts.status.slug
    if slug == statuses.MISSING_PARAM and any(
        error["attr"] == "token" for error in parts.rejection.errors
    ):
        slug = statuses.INVALID_TOKEN
    return _SHOPLO_CODES.get(slug, slug)


_SUCCESS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "plano": _plano_success,
    "shoplo": _shoplo_success,
}
_REFUSAL: Mapping[str, Callable[[Refusal], dict[str, Any]]] = {
    "plano": _plano_refusal,
    "shoplo": _shoplo_refusal,
}
ENVELOPES = tuple(_SUCCESS)
