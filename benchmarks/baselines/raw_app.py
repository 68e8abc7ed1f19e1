"""The least an ASGI application can do with JSON: no routing, no token, no schema."""

from typing import Any

import orjson


async def app(_: Any, receive: Any, send: Any) -> None:
    """Answer the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    answer = orjson.dumps(orjson.loads(body))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
