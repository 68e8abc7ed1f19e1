"""The gateway's own pages on the public port: is it alive, is it ready."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.registry.follow import Registry


class Health:
    """What `/-/ready` reports."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.draining = False


def make(
    health: Health, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]
) -> Starlette:
    """The site; `lifespan` starts and stops the worker."""

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> JSONResponse:
        registry = health.registry
        table = registry.current
        is_ready = table is not None and not health.draining
        body = {
            "ready": is_ready,
            "degraded": registry.trouble is not None,
            "draining": health.draining,
            "revision": table and table.revision,
            "trouble": registry.trouble,
        }
        return JSONResponse(body, 200 if is_ready else 503)

    return Starlette(
        routes=[Route("/-/live", live), Route("/-/ready", ready)],
        lifespan=lifespan,
    )
