"""Where a request comes from: the peer or, behind proxies that are trusted, who they name."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from gateway.settings import Network

FORWARDED = b"x-forwarded-for"
UNKNOWN = "unknown"


class Proxies:
    """The proxies that are believed."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def caller(self, peer: str, forwarded: bytes) -> str:
        """The caller's address: the last one that no trusted proxy has.

        Each proxy appends the peer it sees, so that what a caller writes itself stands further
        left than what the first trusted proxy saw. A value that is no address ends the search.
        """
        found = peer
        if not (self._trusted and forwarded):
            return found
        for given in reversed(forwarded.decode("latin-1").split(",")):
            if not self._trusts(found):
                break
            address = _plain(given.strip())
            if address is None:
                break
            found = address
        return found

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def _plain(text: str) -> str | None:
    """An address without port and brackets, None if it is none."""
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
    """What is counted as one place: an IPv4 address, or the /64 that one IPv6 host has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
