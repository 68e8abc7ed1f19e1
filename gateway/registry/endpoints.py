"""The endpoints of http services: what their URLs may be, and which addresses are refused.

A refused address is one that answers anything on this machine's network with secrets: a cloud's
metadata service, or a neighbour on the link. `check` refuses it in a manifest, and workers refuse
it after a name is resolved. Loopback is allowed, since a sidecar listens there.
"""

import ipaddress
import re
from typing import NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_PORT = 65535
DEFAULT_PORTS = {"http": 80, "https": 443}

METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        # Alibaba, Azure, Oracle; AWS, Google. Those of 169.254.0.0/16 are link-local.
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
METADATA_NAMES = ("metadata.google.internal", "metadata.goog")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*", re.ASCII)


class EndpointError(ValueError):
    """A URL that cannot be an endpoint; the text says why, as the end of a sentence."""


class Endpoint(NamedTuple):
    """An endpoint's parts; `path` is empty, or begins and does not end with a slash."""

    scheme: str
    host: str
    port: int
    path: str


def parse(url: str) -> Endpoint:
    """The parts of an endpoint's URL. Raises EndpointError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise EndpointError("must be a URL such as http://10.0.0.5:9000") from error
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise EndpointError("must be a URL such as http://10.0.0.5:9000, with http or https")
    if "@" in parts.netloc:
        raise EndpointError("must not contain a user or a password; calls are signed instead")
    if "?" in url or "#" in url:
        raise EndpointError("must end before ? and #")
    _check_path(parts.path)
    _check_host(host)
    endpoint = Endpoint(parts.scheme, host, _port(parts), parts.path)
    if url not in {written(endpoint), written(endpoint, with_port=True)}:
        raise EndpointError(f"must be written as {written(endpoint)}")
    return endpoint


def _port(parts: SplitResult) -> int:
    """The port of a URL, by default that of its scheme. Raises EndpointError."""
    try:
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise EndpointError(f"must have a port from 1 to {MAX_PORT}, or none")
    return port


def written(endpoint: Endpoint, *, with_port: bool = False) -> str:
    """An endpoint as its URL, without a port that is the scheme's own."""
    is_own = endpoint.port == DEFAULT_PORTS[endpoint.scheme]
    port = "" if is_own and not with_port else f":{endpoint.port}"
    return f"{endpoint.scheme}://{_bracketed(endpoint.host)}{port}{endpoint.path}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def authority(endpoint: Endpoint) -> str:
    """The value of the header `Host`."""
    return written(endpoint._replace(path="")).partition("://")[2]


def _check_path(path: str) -> None:
    if path.endswith("/"):
        raise EndpointError("must not end with a slash")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise EndpointError("must have a path without empty segments, . and .., or none")


def _check_host(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # `2852039166` and `0xa9.0xfe.0xa9.0xfe` are addresses to a resolver.
        if not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise EndpointError("must have a host name or an IP address") from None
        if host in METADATA_NAMES:
            raise EndpointError(f"must not name a cloud's metadata service, {host}") from None
        return
    if why := why_refused(address):
        raise EndpointError(f"must not have {why}")


def why_refused(address: Address) -> str:
    """Why calls to an address are refused: `the link-local address …`; empty if they are not."""
    inner = _inner(address)
    if inner in METADATA_ADDRESSES:
        return f"the address of a cloud's metadata service, {address}"
    for kind in ("link_local", "multicast", "unspecified"):
        if getattr(inner, f"is_{kind}"):
            return f"the {kind.replace('_', '-')} address {address}"
    return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for; any other one itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped or address.sixtofour or address
