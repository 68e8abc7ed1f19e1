"""A proxy in front of PostgreSQL whose connections can fall silent without being closed."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class Proxy:
    """Passes connections on to a server; `url` is the server's address through it.

    With `tls` it speaks TLS to the clients, as a server with `ssl = on` does.
    """

    def __init__(self, server_url: str, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server_url = server_url
        self._open: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._is_frozen = self._is_refusing = False
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Run for the length of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        parts = urlsplit(self._server_url)
        user = parts.netloc.rpartition("@")[0]
        address = f"{user}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=address, query=""))
        try:
            yield self
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()

    @property
    def talking(self) -> int:
        """The connections that are open and not silent."""
        return len(self._open - self._silent) // 2

    def silence(self) -> None:
        """Drop all further data of the connections that are open now; new ones work."""
        self._silent |= self._open

    def freeze(self) -> None:
        """Drop all further data, on new connections too, and close none."""
        self._is_frozen = True
        self.silence()

    def refuse(self) -> None:
        """Close the connections, and those that are opened from now on."""
        self._is_refusing = True
        for writer in self._open:
            writer.transport.abort()

    def accept(self) -> None:
        """Pass connections on again."""
        self._is_refusing = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_refusing:
            writer.transport.abort()
            return
        if self._tls:
            try:
                await reader.readexactly(len(SSL_REQUEST))
                writer.write(b"S")
                await writer.start_tls(self._tls)
            except (OSError, asyncio.IncompleteReadError):
                # The client refuses the certificate.
                writer.close()
                return
        server_reader, server_writer = await self._connect()
        self._open |= {writer, server_writer}
        if self._is_frozen:
            self.silence()
        await asyncio.gather(
            self._forward(reader, server_writer), self._forward(server_reader, writer)
        )
        self._open -= {writer, server_writer}

    async def _connect(self) -> Streams:
        parts = urlsplit(self._server_url)
        query = parse_qs(parts.query)
        host = query["host"][0] if "host" in query else str(parts.hostname)
        port = query["port"][0] if "port" in query else parts.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._silent:
                    writer.write(data)
        writer.close()
