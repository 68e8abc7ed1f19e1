"""The address of a PostgreSQL database, which may name several hosts.

Several hosts are written as libpq has them: `postgresql://user@h1:5432,h2:5432/name`, or as options
`?host=h1,h2&port=5432,5433`. `urlsplit` refuses these, so the hosts are split here.
"""

import os
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlsplit

TARGET = "target_session_attrs"
TARGETS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""The kinds of server that `target_session_attrs` may ask for."""

_ADDRESS = re.compile(r"(postgres(?:ql)?://)([^/?#]*)([^?#]*)(.*)", re.DOTALL)


def options(address: str) -> dict[str, str]:
    """The options after `?`; the last one of a name counts."""
    return dict(parse_qsl(address.partition("?")[2].partition("#")[0]))


def target(address: str) -> str:
    """The kind of server that is asked for.

    Of several hosts only one accepts writes, so that one is the default: libpq's own default, any
    of them, would often be a standby.
    """
    named = options(address).get(TARGET) or os.environ.get("PGTARGETSESSIONATTRS")
    return named or ("read-write" if len(one_host_each(address)) > 1 else "any")


def one_host_each(address: str) -> list[str]:
    """An address for each host of an address. Raises ValueError if hosts and ports do not match."""
    match = _ADDRESS.fullmatch(address)
    if not match:
        return [address]
    scheme, authority, path, query = match.groups()
    user, at, hosts = authority.rpartition("@")
    if "," in hosts:
        return [f"{scheme}{user}{at}{host}{path}{query}" for host in _names(hosts)]
    named = options(address)
    names = named.get("host") or ("" if hosts else os.environ.get("PGHOST", ""))
    if hosts or "," not in names:
        return [address]
    ports = (named.get("port") or os.environ.get("PGPORT", "")).split(",")
    kept = [pair for pair in query[1:].split("&") if pair.partition("=")[0] not in {"host", "port"}]
    return [
        f"{scheme}{authority}{path}?{'&'.join(filter(None, (*kept, pair)))}"
        for pair in _pairs(_names(names), ports)
    ]


def _names(hosts: str) -> list[str]:
    names = hosts.split(",")
    if not all(names):
        raise ValueError("a host is empty")
    return names


def _pairs(hosts: Sequence[str], ports: Sequence[str]) -> list[str]:
    """The options of each host. One port, or none, counts for all hosts."""
    if len(ports) == 1:
        ports = [ports[0]] * len(hosts)
    if len(ports) != len(hosts):
        raise ValueError("there are not as many ports as hosts")
    return [
        f"host={quote(host)}" + (f"&port={quote(port)}" if port else "")
        for host, port in zip(hosts, ports, strict=True)
    ]


def check(address: str) -> None:
    """Raise ValueError if the address of a database is malformed; the text quotes nothing of it."""
    try:
        hosts = one_host_each(address)
        is_valid = all(map(_is_valid, hosts))
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            "must be postgresql://user:password@host:port/name; commas separate several hosts"
        )
    if options(address).get(TARGET, "any") not in TARGETS:
        raise ValueError(f"must have one of these as {TARGET}: {', '.join(TARGETS)}")


def _is_valid(address: str) -> bool:
    """Whether the address of one host is well-formed. May raise ValueError."""
    parts = urlsplit(address)
    _ = parts.port
    return parts.scheme in {"postgresql", "postgres"}


def with_name(address: str, name: str) -> str:
    """The address of another database of the same server."""
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise ValueError("the address of the database is malformed")
    scheme, authority, _, query = match.groups()
    return f"{scheme}{authority}/{name}{query}"


def name_of(address: str) -> str:
    """The name of the database in an address that `with_name` made."""
    match = _ADDRESS.fullmatch(address)
    return match[3].lstrip("/") if match else ""
