"""The PROXY protocol, versions 1 and 2: a proxy's first bytes name the client of the connection.

Proxies that pass TCP on, as HAProxy and the balancers of clouds do, send it in place of
`X-Forwarded-For`. The format is HAProxy's `proxy-protocol.txt`.
"""

import asyncio
import ipaddress
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.protocols.utils import get_remote_addr

from gateway.edge import addresses
from gateway.edge.addresses import Proxies
from gateway.edge.protocol import Edge
from gateway.runtime import events

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TEXT_SIGNATURE = b"PROXY "
MAX_TEXT = 107
"""Bytes of a header of version 1, with its line end."""

MAX_SIZE = 4096
"""Bytes of a header of version 2; its optional fields have no limit of their own."""

_FIXED = struct.Struct("!12sBBH")
"""Signature, version and command, family and transport, length of the rest."""

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_SIZES = {0x11: 4, 0x21: 16}
"""Bytes of an address, by family and transport: TCP over IPv4 and over IPv6."""

_MAX_FAMILY, _MAX_TRANSPORT = 3, 2
_PORTS_SIZE = 4
_TEXT_VERSIONS = {"TCP4": 4, "TCP6": 6}
_TEXT_FIELDS = 6
_MAX_PORT = 65535


class MalformedError(Exception):
    """The first bytes are not a valid header; the text says why."""


class Header(NamedTuple):
    """A header of `size` bytes; `source` is the client, None if the proxy speaks for itself."""

    source: str | None
    size: int


def read(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if it is incomplete. Raises MalformedError."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _read_binary(data) if len(data) >= _FIXED.size else None
    if data.startswith(TEXT_SIGNATURE[: len(data)]):
        return _read_text(data)
    raise MalformedError("the connection does not begin with a PROXY header")


def _read_binary(data: bytes) -> Header | None:
    _, command, family, length = _FIXED.unpack_from(data)
    size = _FIXED.size + length
    if command not in {_LOCAL, _PROXY}:
        raise MalformedError("the version or the command is unknown")
    if family >> 4 > _MAX_FAMILY or family & 0xF > _MAX_TRANSPORT:
        raise MalformedError("the address family or the transport is unknown")
    if size > MAX_SIZE:
        raise MalformedError(f"the header is larger than {MAX_SIZE} bytes")
    address_size = _ADDRESS_SIZES.get(family, 0) if command == _PROXY else 0
    if address_size and length < 2 * address_size + _PORTS_SIZE:
        raise MalformedError("the header is too short for its addresses")
    if len(data) < size:
        return None
    source = data[_FIXED.size : _FIXED.size + address_size]
    return Header(addresses.plain(str(ipaddress.ip_address(source))) if source else None, size)


def _read_text(data: bytes) -> Header | None:
    line, end, _ = data[:MAX_TEXT].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_TEXT:
            raise MalformedError(f"the header is longer than {MAX_TEXT} bytes")
        return None
    fields = line.decode("latin-1").split(" ")
    source = None if fields[1] == "UNKNOWN" else _text_source(fields)
    return Header(source, len(line) + len(end))


def _text_source(fields: list[str]) -> str:
    """The client of `PROXY TCP4 source destination port port`. Raises MalformedError."""
    if len(fields) != _TEXT_FIELDS or not all(map(_is_port, fields[4:])):
        raise MalformedError("the header is not two addresses and two ports")
    try:
        source, destination = map(ipaddress.ip_address, fields[2:4])
    except ValueError as error:
        raise MalformedError("an address is invalid") from error
    if {source.version, destination.version} != {_TEXT_VERSIONS.get(fields[1])}:
        raise MalformedError("the addresses are not of the named family")
    return addresses.plain(str(source))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _MAX_PORT


class ProxiedConnection(asyncio.Protocol):
    """Reads the header of a trusted proxy's connection, and leaves all that follows to the edge.

    The edge's time for the first head runs from the beginning, and closes the connection. The
    connections of other peers have no header: a client must not choose its own address.
    """

    def __init__(self, edge: Edge, proxies: Proxies) -> None:
        self._edge = edge
        self._proxies = proxies
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's own class
        """asyncio: a client or a proxy has connected."""
        self._transport = transport
        self._edge.connection_made(transport)
        client = get_remote_addr(transport)
        if not (client and self._proxies.trusts(client[0])):
            transport.set_protocol(self._edge)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection was closed before its header was complete."""
        self._edge.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio: read the header; close the connection if it is malformed."""
        self._data += data
        try:
            header = read(self._data)
        except MalformedError as error:
            peer = self._edge.channel.peer
            events.emit(events.EDGE_PROXY_REFUSED, peer=peer, reason=str(error))
            self._transport.abort()
            return
        if header:
            self._hand_over(header)

    def _hand_over(self, header: Header) -> None:
        self._transport.set_protocol(self._edge)
        if header.source:
            self._edge.channel.peer = header.source
        if rest := self._data[header.size :]:
            self._edge.data_received(rest)


def edge_behind(proxies: Proxies) -> Callable[..., ProxiedConnection]:
    """The protocol class for uvicorn's server: the edge behind these proxies."""
    return lambda **options: ProxiedConnection(Edge(**options), proxies)
