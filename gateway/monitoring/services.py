"""The services with their endpoints, as all workers together see them."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.registry import store
from gateway.registry.records import Service
from gateway.registry.store import WORKER_TIMEOUT

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
IN_USE = "in use"
NOT_REPORTED = "not reported yet"


class EndpointRow(NamedTuple):
    """One address of an endpoint; a service of this process has one row without an endpoint.

    `state` says what the workers do with it. `latency` is the mean of those that know one, in
    seconds; `in_flight` and `ejections` are sums.
    """

    service: str
    kind: str
    endpoint: str
    address: str
    state: str
    in_flight: int | None = None
    latency: float | None = None
    ejections: int | None = None


async def endpoint_rows_now(connection: Connection) -> list[EndpointRow]:
    """The rows of all services of the registry."""
    figures = await connection.fetch(_SQL["live_figures"], WORKER_TIMEOUT)
    services = await store.services(connection)
    return endpoint_rows(services, [row["figures"] for row in figures])


def endpoint_rows(
    services: Iterable[Service], figures: Iterable[Mapping[str, Any]]
) -> list[EndpointRow]:
    """The rows of some services, by name, from the figures of the live workers."""
    reported = [worker["services"] for worker in figures if worker.get("services")]
    ordered = sorted(services, key=lambda service: service.name)
    return [row for service in ordered for row in _rows(service, reported)]


def _rows(service: Service, reported: Sequence[Mapping[str, Any]]) -> list[EndpointRow]:
    row = EndpointRow(service.name, service.kind, "", "", IN_USE)
    if not service.deployed:
        return [row._replace(state="not deployed")]
    if service.upstream is None:
        return [row]
    by_key = collections.defaultdict(list)
    for worker in reported:
        for endpoint in worker.get(service.name, ()):
            by_key[endpoint["endpoint"], endpoint["address"]].append(endpoint)
    urls = {url for url, _ in by_key}
    unknown = [(url, "") for url in service.upstream.endpoints if url not in urls]
    keys = sorted([*by_key, *unknown])
    return [_row(row, key, by_key.get(key, [])) for key in keys]


def _row(
    row: EndpointRow, key: tuple[str, str], endpoints: Sequence[Mapping[str, Any]]
) -> EndpointRow:
    """A row from what each worker reports of an address."""
    row = row._replace(endpoint=key[0], address=key[1])
    if not endpoints:
        return row._replace(state=NOT_REPORTED)
    latencies = [each["latency"] for each in endpoints if each["latency"] is not None]
    return row._replace(
        state=_state(endpoints),
        in_flight=sum(each["in_flight"] for each in endpoints),
        latency=sum(latencies) / len(latencies) if latencies else None,
        ejections=sum(each["ejections"] for each in endpoints),
    )


def _state(endpoints: Sequence[Mapping[str, Any]]) -> str:
    """`in use`, or the problem; in how many workers, if others use it."""
    problems = collections.Counter(each["problem"] for each in endpoints if each["problem"])
    if not problems:
        return IN_USE
    [(problem, count)] = problems.most_common(1)
    return (
        problem if count == len(endpoints) else f"{problem} in {count} of {len(endpoints)} workers"
    )
