"""The gateway's no-op in BlackSheep: an authentication handler, roles, msgspec, a middleware."""

from time import perf_counter
from typing import Any

import msgspec
from blacksheep import Application, Content, Request, Response
from blacksheep.exceptions import BadRequest
from blacksheep.middlewares import MiddlewareCategory
from blacksheep.server.authorization import auth
from guardpost import AuthenticationHandler, AuthorizationContext, Identity, Policy
from guardpost.authorization import Requirement
from same_work import PATH, SESSIONS, caller, may_call, record
from same_work_structs import Stage, answer

decode = msgspec.json.Decoder(Stage).decode
encode = msgspec.json.Encoder().encode
app = Application()


class Authentication(AuthenticationHandler):
    """Looks up the bearer token."""

    def authenticate(self, context: Request) -> Identity | None:
        """The session as the identity of the request."""
        token = (context.get_first_header(b"authorization") or b"").decode()
        session = SESSIONS.get(token.removeprefix("Bearer "))
        if session is None:
            return None
        context.user = Identity(session, "Bearer")
        return context.user


class Permitted(Requirement):
    """Requires a session with a permitted role."""

    def handle(self, context: AuthorizationContext) -> None:
        """Succeed if the session may call."""
        if context.identity.is_authenticated() and may_call(context.identity.claims):
            context.succeed(self)


app.use_authentication().add(Authentication())
app.use_authorization().add(Policy("permitted", Permitted()))


async def observe(request: Request, handler: Any) -> Response:
    """Record each request."""
    started = perf_counter()
    try:
        response = await handler(request)
    except Exception as error:  # noqa: BLE001 - BlackSheep turns any into an answer
        response = await app.handle_request_handler_exception(request, error)
    record(_described(request), response.status, started)
    return response


def _described(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "route": request.route,
        "caller": caller(request.user.claims),
        "address": request.client_ip,
    }


@app.on_start
async def remember_routes(_: Application) -> None:
    """Note the route of each request, as BlackSheep's documentation shows."""
    find = app.router.get_match

    def find_and_note(request: Request) -> Any:
        match = find(request)
        request.route = match.pattern.decode() if match else None
        return match

    app.router.get_match = find_and_note


app.middlewares.append(observe, MiddlewareCategory.INIT)


@auth("permitted")
@app.router.post(PATH)
async def echo(request: Request) -> Response:
    """Answer the params."""
    try:
        stage = decode(await request.read())
    except msgspec.DecodeError as error:
        raise BadRequest(str(error)) from error
    return Response(200, content=Content(b"application/json", encode(answer(stage))))
