"""What the page of a route says, made from the route's record alone."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from gateway.manifest.records import written
from gateway.pages.documentation import examples
from gateway.pages.documentation.params import Param, application_slugs, documented_params
from gateway.pages.documentation.responses import Responses, responses
from gateway.pages.documentation.snippets import Snippet, snippets
from gateway.pages.render import pretty
from gateway.registry.records import Route
from gateway.registry.table import Table


class Caller(NamedTuple):
    """An application that may call, and the roles of its users that may."""

    application: str
    roles: tuple[str, ...]


class RoutePage(NamedTuple):
    """A page.

    `request` is the text of an example body as the client writes it; the body of a sensitive route
    is this text in base64. `rules` are the limits of a call, as a name and a value.
    """

    route: Route
    service: str
    is_deployed: bool
    tokens: str
    callers: tuple[Caller, ...]
    params: tuple[Param, ...]
    content_type: str
    request: str
    answer: str
    rules: tuple[tuple[str, str], ...]
    responses: Responses
    snippets: tuple[Snippet, ...]


def route_page(route: Route, table: Table, origin: str) -> RoutePage:
    """The page of a route of this table, for callers of the gateway at `origin`."""
    service = table.services.get(route.service)
    example = examples.example(route, application_slugs(route, table))
    return RoutePage(
        route=route,
        service=service.title if service else route.service,
        is_deployed=route.deployed and bool(service and service.deployed),
        tokens=_tokens(route),
        callers=_callers(route, table),
        params=documented_params(route, table),
        content_type=example.content_type or examples.content_type(route),
        request=pretty(example.params),
        answer=pretty(examples.example_answer(route)),
        rules=tuple(_rules(route)),
        responses=responses(route),
        snippets=snippets(example, origin),
    )


def page_path(path: str) -> str:
    """The path of a route's page: its own below `/documentation`, percent-encoded."""
    return f"/documentation{quote(path)}"


def _tokens(route: Route) -> str:
    """The kinds of token that the route takes, in words."""
    if not route.auth:
        return "public: no token"
    return " or ".join(f"{kind} token" for kind in sorted(route.auth))


def _callers(route: Route, table: Table) -> tuple[Caller, ...]:
    """Who may call; empty if the route is public or takes every role."""
    roles: Mapping[str, tuple[str, ...]] = route.roles or {}
    titles = {slug: record.title for slug, record in table.applications.items()}
    return tuple(Caller(titles.get(slug, slug), roles[slug]) for slug in sorted(roles))


def _rules(route: Route) -> Iterator[tuple[str, str]]:
    yield "Timeout", written.duration(route.timeout)
    yield "Largest body", written.size(route.max_body)
    if route.rate_limit:
        limit = written.rate([route.rate_limit.calls, route.rate_limit.seconds])
        yield "Rate limit", f"{limit} for each {'token' if route.auth else 'address'}"
    if route.stale is not None:
        yield "Age of the data", f"at most {written.duration(route.stale)}"
    yield "Idempotency-Key", _KEYS[route.idempotency]


_KEYS = {
    "off": "not taken",
    "optional": "optional: calls with the same key run once",
    "required": "required: calls with the same key run once",
}
