"""The routes of a gateway under test, and whether an answer is one that its route documents."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import orjson

from gateway.manifest.check import Desired
from gateway.registry.records import Route, route_from
from gateway.registry.schema import ParamSchema
from gateway.registry.table import Table
from gateway.runtime import events
from gateway.runtime.events import Event, Fields
from gateway.testing.answers import OK, Answer

if TYPE_CHECKING:
    import httpx2

_CAUSES = {
    "AnswerMisfitError": "the data does not fit `returns` at",
    "UndocumentedError": "the route does not document the status",
}
"""What a service did, by the error that it meets."""


class UndocumentedAnswerError(AssertionError):
    """A route gave an answer that it does not document; the text names the route and the rule."""


def find_route(table: Table, name: str) -> Route:
    """The route of a name or of a path, `GET /path` if several have it. Raises LookupError."""
    if "/" not in name:
        route = table.routes.get(name)
        if route is None:
            raise LookupError(f"no route is named {name}; there are {_names(table)}")
        return route
    method, _, path = name.rpartition(" ")
    method = method.upper()
    methods = [method] if method else table.methods(path.encode())
    found = [match.route for each in methods if (match := table.find(each, path.encode()))]
    if len(found) != 1:
        several = " and ".join(f"{route.method} {path}" for route in found)
        reason = f"write {several.replace(' and ', ' or ')}" if found else f"see {_names(table)}"
        raise LookupError(f"{len(found) or 'no'} routes have the path {name}: {reason}")
    return found[0]


def _names(table: Table) -> str:
    return ", ".join(sorted(table.routes)) or "none"


_served: ContextVar["CrashReader | None"] = ContextVar("served", default=None)
"""The reader of the worker that runs the current code."""


class CrashReader:
    """Reads a worker's events: the answers of this process that a route does not document.

    The worker answers them `application-crash`; `complaints` has the reasons by request id.
    """

    def __init__(self) -> None:
        self.complaints: dict[str, str] = {}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the events of the worker that is started in the block.

        Not those of others: the worker of the test before may still be ending.
        """
        token = _served.set(self)
        end = events.subscribe(self.read)
        try:
            yield
        finally:
            end()
            _served.reset(token)

    def read(self, event: Event, fields: Fields) -> None:
        """Read an event of any worker of this process."""
        if event is events.REQUEST_CRASHED and _served.get() is self:
            kind = fields["place"].partition(" ")[0]
            if kind in _CAUSES:
                # Of a route with secret params the text is the type alone.
                detail = re.search(r"'(.*)'|$", fields["error"].replace("\\'", "'"))
                message = f"{fields['route']}: {_CAUSES[kind]} {(detail and detail[1]) or ''}"
                self.complaints[fields["request_id"]] = message.rstrip()

    def complaint(self, response: "httpx2.Response") -> str | None:
        """Why an answer is not documented; each is told once. None if it is."""
        return self.complaints.pop(response.headers.get("x-request-id", ""), None)


class ManifestReader:
    """Compares answers with manifests: those of gateways that run in other processes."""

    def __init__(self, desired: Iterable[Desired]) -> None:
        self._routes: dict[str, Route] = {}
        self.table = Table(1)
        self.add(desired)

    def add(self, desired: Iterable[Desired]) -> None:
        """Let the routes of manifests replace and join the earlier ones."""
        for state in desired:
            for name, route in state.routes.items():
                self._routes[name] = route_from(name, route.record, ParamSchema(route.params))
        self.table = Table(1, routes=self._routes.values())

    def complaint(self, response: "httpx2.Response") -> str | None:
        """Why an answer is not documented; None if it is, or if no route gave it."""
        request = response.request
        match = self.table.find(request.method, request.url.raw_path.partition(b"?")[0])
        return _complaint(match.route, Answer(response)) if match else None


def _complaint(route: Route, answer: Answer) -> str | None:
    if answer.code != OK:
        status = route.statuses.get(answer.status)
        is_known = status is not None and status.http == answer.code
        unknown = f"{route.name}: the route does not document the status {answer.status}"
        # Without `help`, a refusal of the Shoplo dialect does not say which status it is.
        codes = {status.http for status in route.statuses.values()}
        is_possible = route.envelope == "shoplo" and answer.code in codes
        return None if is_known or is_possible else f"{unknown} ({answer.code})"
    if route.returns is None:
        return None
    # As the gateway checks it: numbers and texts as JSON has them.
    value = orjson.loads(orjson.dumps(answer.data))
    error = next(iter(route.returns.validator.iter_errors(value)), None)
    if error is None:
        return None
    rule = "/" + "/".join(map(str, error.schema_path))
    return f"{route.name}: the data does not fit `returns` at {rule}"
