"""Servers on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from gateway.serve import server

OFF = ("access_log", "server_header", "date_header")


@asynccontextmanager
async def listening(uvicorn_server: uvicorn.Server) -> AsyncIterator[socket.socket]:
    """Run a server on a free port, for the length of the block; yields its socket."""
    listener = server.listen("127.0.0.1", 0)
    serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
    try:
        yield listener
    finally:
        uvicorn_server.should_exit = True
        await serving
        listener.close()


def plain_server(application: Any, protocol: Any, **options: Any) -> uvicorn.Server:
    """uvicorn with an application and nothing else: no logs, no default headers, no lifespan."""
    defaults = {"ws": "none", "lifespan": "off", "log_config": None, **dict.fromkeys(OFF, False)}
    return uvicorn.Server(uvicorn.Config(application, http=protocol, **{**defaults, **options}))
