"""The gateway's no-op in Litestar: an authentication middleware, a guard, msgspec.

Litestar converts what it can: the string "12" is an integer, unlike in the gateway.
"""

from time import perf_counter
from typing import Any

from litestar import Litestar, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware, DefineMiddleware
from litestar.middleware.authentication import (
    AbstractAuthenticationMiddleware,
    AuthenticationResult,
)
from same_work import PATH, SESSIONS, caller, may_call, record
from same_work_structs import Echoed, Stage, answer

Connection = ASGIConnection[Any, Any, Any, State]


class Observer(ASGIMiddleware):
    """Records each request."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        """Answer a request, then record it."""
        started, status = perf_counter(), 500

        async def watch(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await next_app(scope, receive, watch)
        except Exception as error:
            status = getattr(error, "status_code", status)
            raise
        finally:
            record(_described(scope), status, started)


def _described(scope: Any) -> dict[str, Any]:
    return {
        "method": scope["method"],
        "path": scope["path"],
        "route": scope["path_template"],
        "caller": caller(scope.get("user")),
        "address": scope["client"][0],
    }


class Authentication(AbstractAuthenticationMiddleware):
    """Looks up the bearer token."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The session, or 401."""
        token = connection.headers.get("authorization", "").removeprefix("Bearer ")
        session = SESSIONS.get(token)
        if session is None:
            raise NotAuthorizedException
        return AuthenticationResult(user=session, auth=token)


def permitted(connection: Connection, _: BaseRouteHandler) -> None:
    """Let through only sessions with a permitted role."""
    if not may_call(connection.user):
        raise PermissionDeniedException


@post(PATH, status_code=200, guards=[permitted])
async def echo(data: Stage) -> Echoed:
    """Answer the params."""
    return answer(data)


app = Litestar(
    [echo],
    middleware=[Observer(), DefineMiddleware(Authentication)],
    logging_config=None,
    openapi_config=None,
)
