"""A bare asyncio server: what a call costs on this machine without a gateway."""

import asyncio
import socket
from typing import Any

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Bare(asyncio.Protocol):
    """Answers whatever arrives."""

    def connection_made(self, transport: Any) -> None:  # uvloop's is not an asyncio.Transport
        """Keep the transport to answer with."""
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        """Answer at once: each request arrives in one piece."""
        self._transport.write(ANSWER)


def serve(listener: socket.socket) -> None:
    """Serve until the process ends."""
    uvloop.run(_serve(listener))


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(Bare, sock=listener)
    await server.serve_forever()
