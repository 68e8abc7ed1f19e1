"""The gateway's own pages on the public port: health, documentation, OpenAPI, and their files."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.pages import assets
from gateway.pages.documentation.views import Documentation
from gateway.pages.health import Health
from gateway.pages.openapi.views import OpenApi


def create_pages(
    health: Health,
    documentation: Documentation | None,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
) -> Starlette:
    """The application of these pages; `lifespan` starts and stops the worker.

    Without `documentation` its pages do not exist, nor those of OpenAPI.
    """
    files = Route(f"{assets.PATH}/{{digest}}/{{name}}", assets.serve)
    # OpenAPI comes first: the documentation takes any path below /documentation.
    openapi = OpenApi(health.registry).routes()
    pages = [*openapi, *documentation.routes(), files] if documentation else []
    return Starlette(routes=[*health.routes(), *pages], lifespan=lifespan)
