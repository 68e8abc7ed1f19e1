"""Servers behind real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from gateway.serve import server

OFF = ("access_log", "server_header", "date_header")


@asynccontextmanager
async def listening(made: uvicorn.Server) -> AsyncIterator[socket.socket]:
    """A server on a socket of its own, for the length of the block; answers the socket."""
    listener = server.listen("127.0.0.1", 0)
    serving = asyncio.create_task(made.serve(sockets=[listener]))
    try:
        yield listener
    finally:
        made.should_exit = True
        await serving
        listener.close()


def plain(application: Any, protocol: Any, **options: Any) -> uvicorn.Server:
    """uvicorn with nothing around an application."""
    given = {"ws": "none", "lifespan": "off", "log_config": None, **dict.fromkeys(OFF, False)}
    return uvicorn.Server(uvicorn.Config(application, http=protocol, **{**given, **options}))
