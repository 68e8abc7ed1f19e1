"""A BlackSheep handler that echoes JSON: no token, no schema."""

import orjson
from blacksheep import Application, Content, Request, Response

app = Application()


@app.router.post("/api/v1/bench/echo")
async def echo(request: Request) -> Response:
    """Answer the body."""
    body = orjson.dumps(orjson.loads(await request.read()))
    return Response(200, content=Content(b"application/json", body))
