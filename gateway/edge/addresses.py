"""The client's address: the peer's or, behind trusted proxies, the one in `X-Forwarded-For`."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from gateway.runtime.setting_values import Network

FORWARDED = b"x-forwarded-for"
UNKNOWN = "unknown"


class Proxies:
    """The proxies whose `X-Forwarded-For` is trusted."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def client_address(self, peer: str, forwarded: bytes) -> str:
        """The last address, read from right to left, that is not a trusted proxy's.

        Each proxy appends the address of its peer, so addresses forged by the client stand left
        of the one that the first trusted proxy saw. The search ends at an invalid address.
        """
        client = peer
        if not (self._trusted and forwarded):
            return client
        for text in reversed(forwarded.decode("latin-1").split(",")):
            if not self._trusts(client):
                break
            address = _parse(text.strip())
            if address is None:
                break
            client = address
        return client

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def _parse(text: str) -> str | None:
    """An address without its port and brackets; None if the text is not an address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=10_000)
def client_network(address: str) -> str:
    """What limits count as one client: an IPv4 address, or the /64 network of an IPv6 host."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
