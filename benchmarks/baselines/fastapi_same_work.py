"""The gateway's no-op in FastAPI: a dependency for the token, pydantic, an ASGI middleware."""

from time import perf_counter
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_models import Stage
from pydantic import BaseModel
from same_work import PATH, SESSIONS, caller, may_call, record

Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


class Echoed(BaseModel):
    """The answer."""

    code: int
    status: str
    data: Stage


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


app = FastAPI()
app.add_middleware(Observer)


async def session(request: Request, token: Token) -> dict[str, Any]:
    """The caller's session, which must have a permitted role."""
    found = SESSIONS.get(token.credentials)
    if found is None:
        raise HTTPException(401, "invalid-token")
    request.state.session = found
    if not may_call(found):
        raise HTTPException(403, "permission-denied")
    return found


@app.post(PATH, dependencies=[Depends(session)], response_model_exclude_unset=True)
async def echo(stage: Stage) -> Echoed:
    """Answer the params."""
    return Echoed(code=200, status="action-successful", data=stage)
