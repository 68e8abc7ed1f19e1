"""The pages `/openapi.json`, `/openapi/<service>.json` and `/documentation/reference`.

The handlers are plain functions, which Starlette runs in threads.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as WebRoute

from gateway.pages import swagger_ui
from gateway.pages.openapi.documents import (
    MAX_OPERATIONS,
    Documents,
    TooManyOperationsError,
    UnknownServiceError,
)
from gateway.pages.render import page
from gateway.registry.follow import Registry
from gateway.runtime.suggest import did_you_mean

MAX_NAMED = 20
"""Services that a message names."""

_HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
"""A document may be kept, but a client asks each time whether it is still the newest."""


class OpenApi:
    """The OpenAPI documents of the registry that a worker serves, and their browser."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents = Documents()

    def routes(self) -> Sequence[WebRoute]:
        """The pages, for a Starlette application; before those that take any path."""
        return [
            WebRoute("/openapi.json", self.whole),
            WebRoute("/openapi/{service}.json", self.of_service),
            WebRoute("/documentation/reference", self.reference),
        ]

    def whole(self, request: Request) -> Response:
        """The document of all services, or of the one that `?service=` names."""
        return self._document(request, request.query_params.get("service") or None)

    def of_service(self, request: Request) -> Response:
        """The document of one service."""
        return self._document(request, request.path_params["service"])

    def _document(self, request: Request, service: str | None) -> Response:
        table = self._registry.current
        if table is None:
            return _refusal(503, "This gateway has no registry yet.")
        try:
            document = self._documents.get(table, service)
        except UnknownServiceError:
            return _refusal(404, _unknown(service or "", self._documents.services(table)))
        except TooManyOperationsError:
            return _refusal(404, _TOO_MANY)
        headers = {**_HEADERS, "etag": document.etag}
        if _has(request.headers.get("if-none-match", ""), document.etag):
            return Response(status_code=304, headers=headers)
        return Response(document.body, headers=headers, media_type="application/json")

    def reference(self, request: Request) -> Response:
        """Swagger UI on the document of one service: that of `?service=`, or the first."""
        table = self._registry.current
        services = self._documents.services(table) if table else []
        chosen = request.query_params.get("service", "")
        return page(
            "documentation/reference.html",
            revision=table.revision if table else None,
            query="",
            is_live=True,
            services=services,
            chosen=chosen if chosen in services else next(iter(services), ""),
            has_files=bool(swagger_ui.files()),
        )


_TOO_MANY = (
    f"There are more than {MAX_OPERATIONS} routes, too many for one document: ask for one service "
    "as /openapi/<service>.json, or run `gateway openapi`."
)


def _refusal(code: int, message: str) -> Response:
    body: dict[str, Any] = {"code": code, "message": message}
    return Response(orjson.dumps(body), code, headers=_HEADERS, media_type="application/json")


def _unknown(service: str, services: Sequence[str]) -> str:
    named = ", ".join(services[:MAX_NAMED]) or "none"
    more = f" and {len(services) - MAX_NAMED} more" if len(services) > MAX_NAMED else ""
    return f"unknown service{did_you_mean(service[:100], services)}; services: {named}{more}"


def _has(header: str, etag: str) -> bool:
    """Whether an `If-None-Match` has an entity tag; a proxy may have marked it as weak."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in tags or "*" in tags
