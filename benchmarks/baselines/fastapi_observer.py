"""What the FastAPI peers do about each request: an ASGI middleware logs and counts it."""

from time import perf_counter
from typing import Any

from same_work import caller, record


class Observer:
    """Records each request."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, then record it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watch(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            record(_described(scope), status, started)


def _described(scope: Any) -> dict[str, Any]:
    route = scope.get("route")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "route": route and route.path,
        "caller": caller(scope["state"].get("session")),
        "address": scope["client"][0],
    }
