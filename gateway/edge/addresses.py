"""The client's address: the peer's or, behind trusted proxies, the one in `X-Forwarded-For`.

An IPv4 client of a socket that listens on `::` arrives as `::ffff:a.b.c.d`. Here it is the IPv4
address that it is: limits, trusted proxies, logs and sessions know it under one name.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from gateway.runtime import events
from gateway.runtime.setting_values import Network
from gateway.runtime.trace_context import TRACEPARENT, TRACESTATE

FORWARDED = b"x-forwarded-for"
UNKNOWN = "unknown"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_JOINED = frozenset((FORWARDED, TRACEPARENT, TRACESTATE))
_MAPPED_PREFIX = "::ffff:"
_MAPPED_BITS = 96


def by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header values by name, the last of each; the lines of some are joined in their order.

    Two lines of `traceparent` make one value that is malformed, as they should.
    """
    values = dict(headers)
    for joined in _JOINED & values.keys():
        values[joined] = b", ".join(value for name, value in headers if name == joined)
    return values


class Proxies:
    """The proxies whose `X-Forwarded-For` is trusted."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(map(_unmapped_network, trusted))
        self._has_warned = False

    def client_address(self, peer: str, forwarded: bytes) -> str:
        """The last address, read from right to left, that is not a trusted proxy's.

        Each proxy appends the address of its peer, so addresses forged by the client stand left
        of the one that the first trusted proxy saw. The search ends at an invalid address.
        """
        client = plain(peer)
        if not (self._trusted and forwarded):
            self._warn(client)
            return client
        for text in reversed(forwarded.decode("latin-1").split(",")):
            if not self.trusts(client):
                break
            address = _without_port(text.strip())
            if address is None:
                break
            client = address
        return client

    def _warn(self, peer: str) -> None:
        """Warn once of a proxy that appears to be in front and is not trusted."""
        if not (self._trusted or self._has_warned):
            self._has_warned = True
            events.emit(events.EDGE_PROXY_UNTRUSTED, peer=peer)

    def trusts(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        try:
            parsed = _parsed(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


@lru_cache(maxsize=10_000)
def plain(address: str) -> str:
    """An address as it is shown and stored: IPv4 that is mapped into IPv6 becomes IPv4."""
    if not address.startswith(_MAPPED_PREFIX):
        return address
    try:
        return str(_parsed(address))
    except ValueError:
        return address


def _parsed(text: str) -> Address:
    """The address of a text, mapped IPv4 as IPv4. Raises ValueError."""
    address = ipaddress.ip_address(text)
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _unmapped_network(network: Network) -> Network:
    """A network of mapped IPv4 addresses as the IPv4 network, any other as it is."""
    mapped = isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped
    if not mapped or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))


def _without_port(text: str) -> str | None:
    """An address without its port and brackets; None if the text is not an address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_parsed(text))
    except ValueError:
        return None


@lru_cache(maxsize=10_000)
def client_network(address: str) -> str:
    """What limits count as one client: an IPv4 address, or the /64 network of an IPv6 host."""
    try:
        parsed = _parsed(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
