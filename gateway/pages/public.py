"""The gateway's own pages on the public port: health, documentation, and the files they load."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.pages import assets
from gateway.pages.documentation.views import Documentation
from gateway.pages.health import Health


def create_pages(
    health: Health,
    documentation: Documentation | None,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
) -> Starlette:
    """The application of these pages; `lifespan` starts and stops the worker.

    Without `documentation` its pages do not exist.
    """
    files = Route(f"{assets.PATH}/{{digest}}/{{name}}", assets.serve)
    pages = [*documentation.routes(), files] if documentation else []
    return Starlette(routes=[*health.routes(), *pages], lifespan=lifespan)
