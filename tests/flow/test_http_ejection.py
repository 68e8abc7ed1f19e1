"""Endpoints that fail are ejected, probed and used again, and operators can see it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from support.console import signed_in
from support.harness import Client, logged, on, until
from support.mail import notifications, wait_for_rows
from support.manifests import applied
from support.servers import listening, plain_server
from support.upstreams import (
    Arrival,
    Service,
    answers,
    desired,
    http_service,
    response,
    running,
    says,
    serving_tours,
)

from gateway.edge.protocol import Edge
from gateway.monitoring import reporter
from gateway.monitoring.services import endpoint_rows_now
from gateway.runtime import events
from gateway.runtime.tracing import spans
from gateway.runtime.tracing.spans import FinishedSpan
from gateway.upstreams.http import eject
from gateway.upstreams.http.eject import FAULTS

pytestmark = pytest.mark.usefixtures("tours_secret")


RESOLVED = "select from gateway.notifications where resolved_by = 'gateway'"
OPEN = "select from gateway.notifications where resolved_at is null"

Names: TypeAlias = dict[str, str]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The addresses of the names below `.example`, which are resolved as the DNS would."""
    known: Names = {}
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if not str(host).endswith(".example"):
            return await resolve(host, port, **options)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running(says(1)) as [service]:
        yield service


async def book(client: Client, path: str = "book") -> Any:
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    answer = await client.post(f"/api/v1/tours/{path}", {"city": "X"}, headers=headers)
    return answer.json()


async def eject_all(client: Client) -> None:
    """Call until every endpoint is ejected."""
    targets = http_service(client).endpoints.targets
    for _ in range(20 * FAULTS):
        if all(target.ejector.is_ejected for target in targets):
            return
        assert (await book(client))["status"] == "service-unavailable"
    raise AssertionError("an endpoint is not ejected")


async def test_ejected_endpoint_gets_no_calls_but_a_probe_and_returns(
    tours: Client, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    service.behaviour = answers(response(503, b""))
    await eject_all(tours)
    assert len(service.arrivals) == FAULTS
    answer = await book(tours)
    assert answer["status"] == "service-unavailable"
    assert answer["message"] == (
        "The service tours cannot be reached: no endpoint answers. Nothing was sent."
    )
    assert len(service.arrivals) == FAULTS
    [ejected] = logged(caplog, events.SERVICE_ENDPOINT_EJECTED)
    assert ejected == {
        "service": "tours",
        "endpoint": service.url,
        "address": "127.0.0.1",
        "reason": "it answered HTTP 503",
    }
    url = tours.database_url
    await wait_for_rows(url, OPEN, 1)
    [row] = await notifications(url)
    assert (row["kind"], row["severity"]) == ("endpoint-ejected", "error")
    assert row["message"] == f"tours at {service.url}: it answered HTTP 503"
    service.behaviour = says("back")
    [target] = http_service(tours).endpoints.targets
    target.ejector._ejected_at = time.monotonic() - eject.MIN_PAUSE
    assert (await book(tours))["data"] == "back"
    assert logged(caplog, events.SERVICE_ENDPOINT_RETURNED)
    await wait_for_rows(url, RESOLVED, 1)


async def test_ejected_endpoint_that_leaves_the_registry_leaves_no_notification_open(
    tours: Client, service: Service, tmp_path: Path
) -> None:
    url = tours.database_url
    service.behaviour = answers(response(503, b""))
    await eject_all(tours)
    await wait_for_rows(url, OPEN, 1)
    await applied(url, desired(tmp_path, ["http://127.0.0.1:1"]))
    await wait_for_rows(url, RESOLVED, 1)
    await wait_for_rows(url, OPEN, 0)


async def test_name_that_is_not_resolved_is_a_notification_until_it_is_resolved(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path, names: Names
) -> None:
    name = f"http://tours.example:{service.port}"
    async with serving_tours(database, tokens, desired(tmp_path, [name])) as client:
        url = client.database_url
        await wait_for_rows(url, OPEN, 1)
        [row] = await notifications(url)
        assert (row["kind"], row["severity"]) == ("endpoint-unresolved", "error")
        assert row["message"].startswith(f"tours at {name}: the name tours.example cannot be")
        names["tours.example"] = "127.0.0.1"
        endpoints = http_service(client).endpoints
        endpoints._start_resolving()
        await wait_for_rows(url, RESOLVED, 1)
        assert (await book(client))["data"] == 1


async def test_ejected_address_that_leaves_the_dns_leaves_no_notification_open(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path, names: Names
) -> None:
    names["tours.example"] = "127.0.0.1"
    service.behaviour = answers(response(503, b""))
    name = f"http://tours.example:{service.port}"
    async with serving_tours(database, tokens, desired(tmp_path, [name])) as client:
        await until(lambda: http_service(client).endpoints.targets)
        await eject_all(client)
        await wait_for_rows(client.database_url, OPEN, 1)
        names["tours.example"] = "127.0.0.2"
        http_service(client).endpoints._start_resolving()
        await wait_for_rows(client.database_url, RESOLVED, 1)
        await wait_for_rows(client.database_url, OPEN, 0)


async def test_name_that_leaves_the_registry_leaves_no_notification_open(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path, names: Names
) -> None:
    assert not names
    state = desired(tmp_path, ["http://tours.example:9000"])
    async with serving_tours(database, tokens, state) as client:
        await wait_for_rows(client.database_url, OPEN, 1)
        await applied(client.database_url, desired(tmp_path, [service.url]))
        await wait_for_rows(client.database_url, RESOLVED, 1)
        await wait_for_rows(client.database_url, OPEN, 0)


async def test_ejected_endpoint_is_probed_by_one_call_at_a_time(
    tours: Client, service: Service
) -> None:
    service.behaviour = answers(response(503, b""))
    await eject_all(tours)
    release = asyncio.Event()

    async def wait(_: Arrival, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response(200, {"data": 1}))

    service.behaviour = wait
    service.arrivals.clear()
    [target] = http_service(tours).endpoints.targets
    target.ejector._ejected_at = time.monotonic() - eject.MIN_PAUSE
    probe = asyncio.create_task(book(tours, "patient"))
    await until(lambda: service.arrivals)
    assert [(await book(tours))["status"] for _ in range(3)] == ["service-unavailable"] * 3
    release.set()
    await probe
    assert len(service.arrivals) == 1


async def test_ejected_endpoint_leaves_the_others_their_calls(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async with running(says(1), says(2)) as [bad, good]:
        bad.behaviour = answers(response(502, b""))
        state = desired(tmp_path, [bad.url, good.url])
        async with serving_tours(database, tokens, state) as client:
            statuses = [(await book(client))["status"] for _ in range(60)]
    refused = statuses.count("service-unavailable")
    # Beside the five there is a probe after one second, after two, and so on.
    assert FAULTS <= refused == len(bad.arrivals) < FAULTS + 5


async def test_health_check_ejects_an_endpoint_and_returns_it_without_a_call(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path
) -> None:
    health = {"path": "/healthz", "interval": "10ms"}
    service.behaviour = answers(response(500, b""))
    state = desired(tmp_path, [service.url], health=health)
    async with serving_tours(database, tokens, state) as client:
        [target] = http_service(client).endpoints.targets
        await until(lambda: target.ejector.is_ejected)
        assert {(arrival.method, arrival.path) for arrival in service.arrivals} == {
            ("GET", "/healthz")
        }
        assert (await book(client))["status"] == "service-unavailable"
        service.behaviour = says("well")
        await until(lambda: not target.ejector.is_ejected)
        assert (await book(client))["data"] == "well"
    assert [arrival.method for arrival in service.arrivals].count("POST") == 1


async def test_removed_service_keeps_its_totals_and_has_no_endpoints(
    tours: Client, service: Service, tmp_path: Path
) -> None:
    await book(tours)
    state = desired(tmp_path, [service.url], deployed=False)
    outcome = await applied(tours.database_url, state)
    await tours.worker.registry.wait_for(outcome.revision)
    assert (await book(tours))["status"] == "service-not-found"
    await until(lambda: not tours.worker.http.usage()[0].endpoints)
    [usage] = tours.worker.http.usage()
    assert usage.totals[service.url].attempts == {"answered": 1}


async def test_services_are_listed_with_what_all_workers_see(
    tours: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "REPORT_INTERVAL", 0.05)
    rows = await on(tours.database_url, endpoint_rows_now)
    python = {row.service: row for row in rows if row.kind == "python"}
    assert python["statuses"].state == "in use"
    assert python["appointments"].state == "not deployed"
    service.behaviour = answers(response(503, b""))
    await eject_all(tours)
    await tours.worker.reporter._write()
    [row] = [r for r in await on(tours.database_url, endpoint_rows_now) if r.service == "tours"]
    assert row[:5] == ("tours", "http", service.url, "127.0.0.1", "ejected")
    assert (row.in_flight, row.ejections) == (0, 1)


async def test_console_shows_the_endpoints(tours: Client, service: Service) -> None:
    await book(tours)
    async with signed_in(tours.worker) as console:
        text = (await console.get("/services")).text
        route = (await console.get("/routes/tours.book")).text
    assert service.url in text
    assert "in use" in text
    assert "its endpoints" in route


async def test_metrics_count_attempts_ejections_and_states(tours: Client, service: Service) -> None:
    await book(tours)
    service.behaviour = answers(response(503, b""))
    await eject_all(tours)
    tours.worker.admin._flush()
    text = tours.worker.metrics.text("")[0].decode()
    where = f'endpoint="{service.url}"'
    for line in (
        f'gateway_service_attempts_total{{{where},outcome="answered",service="tours"}} 1.0',
        f'gateway_service_attempts_total{{{where},outcome="unavailable",service="tours"}} 5.0',
        f'gateway_service_ejections_total{{{where},service="tours"}} 1.0',
        'gateway_service_endpoints{service="tours",state="ejected"} 1.0',
        'gateway_service_endpoints{service="tours",state="in-use"} 0.0',
        'gateway_service_calls{service="tours",state="in-flight"} 0.0',
    ):
        assert line in text


async def test_span_of_an_attempt_is_the_parent_of_what_the_service_does(
    database: str,
    tokens: dict[str, str],
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    seen = list[FinishedSpan]()
    unsubscribe = spans.subscribe(seen.append)
    try:
        state = desired(tmp_path, [service.url])
        async with serving_tours(database, tokens, state) as client:
            await book(client)
    finally:
        unsubscribe()
    [span] = [span for span in seen if span.name == "POST /tours/book"]
    assert span.kind == "client"
    assert span.attributes["http.response.status_code"] == 200
    assert service.arrivals[0].headers["traceparent"] == span.context.traceparent


async def test_client_that_leaves_closes_the_call_to_the_service_at_once(
    tours: Client, service: Service
) -> None:
    service.behaviour = answers(then="hang")
    server = plain_server(tours.worker.app, Edge, proxy_headers=False)
    async with listening(server) as listener:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        head = "POST /api/v1/tours/patient HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        fields = (
            f"Content-Type: application/json\r\nAuthorization: Bearer {tours.tokens['employee']}"
        )
        writer.write(f"{head}{fields}\r\n\r\n{{}}".encode())
        await until(lambda: service.arrivals)
        assert not service.lost
        writer.close()
        await until(lambda: service.lost)
        await until(lambda: http_service(tours).usage().in_flight == 0)
    assert http_service(tours).usage().totals[service.url].attempts == {"cancelled": 1}
    [target] = http_service(tours).endpoints.targets
    assert not target.ejector._faults
