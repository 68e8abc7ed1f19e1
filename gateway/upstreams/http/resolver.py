"""Resolve: the addresses of an endpoint's host, without those that are refused."""

import asyncio
import ipaddress
import socket
from typing import NamedTuple

from gateway.registry.endpoints import Endpoint, why_refused

RESOLVE_INTERVAL = 5.0
RESOLVE_TIMEOUT = 5.0


class Resolved(NamedTuple):
    """The addresses of a host, sorted; `problem` says why there are none or fewer.

    `is_refused` is whether the host has an address that calls must not be sent to.
    """

    addresses: tuple[str, ...]
    problem: str = ""
    is_refused: bool = False


def is_address(host: str) -> bool:
    """Whether a host is an address, which needs no resolving."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(endpoint: Endpoint) -> Resolved:
    """All addresses of an endpoint's host."""
    if is_address(endpoint.host):
        return Resolved((endpoint.host,))
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            rows = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "there is no answer"
        return Resolved((), f"the name {endpoint.host} cannot be resolved: {reason}")
    return _allowed(endpoint.host, {str(row[4][0]) for row in rows})


def _allowed(host: str, addresses: set[str]) -> Resolved:
    allowed, problem = [], ""
    for address in sorted(addresses):
        if why := why_refused(ipaddress.ip_address(address)):
            problem = f"the name {host} resolves to {why}, which is refused"
        else:
            allowed.append(address)
    return Resolved(tuple(allowed), problem, is_refused=bool(problem))
