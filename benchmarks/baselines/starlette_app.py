"""A Starlette route that echoes JSON: no token, no schema."""

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """Answer the body."""
    body = orjson.dumps(orjson.loads(await request.body()))
    return Response(body, media_type="application/json")


app = Starlette(routes=[Route("/api/v1/bench/echo", echo, methods=["POST"])])
