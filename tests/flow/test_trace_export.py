"""The spans of requests, statements and mail, as a real receiver of OTLP gets them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.responses import JSONResponse
from support.harness import Client, logged, serving, until
from support.mail import CREATE, STAGE
from support.mandrill import KEY, RecordingServer, served_in_thread
from support.otlp import Receiver, attributes, receiving
from support.probe import SECRET, actions, apply_probe

from gateway import Call, Reply
from gateway.runtime import events
from gateway.runtime.tracing import otlp, spans
from gateway.runtime.tracing.spans import FinishedSpan, http_request, note_answer
from gateway.upstreams.python import Actions

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
CREATED = f"POST {CREATE}"
CANARY = "canary-7f3a"


def brought(flags: str = "01", trace: str = TRACE) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{CALLER}-{flags}", "tracestate": "rojo=00f0"}


@pytest.fixture(scope="module")
def running_receiver() -> Iterator[tuple[Receiver, str]]:
    with receiving() as receiver_and_address:
        yield receiver_and_address


@pytest.fixture
def receiver(running_receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A receiver that the gateway's next worker exports to, soon after each request."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    receiver, address = running_receiver
    receiver.__init__()  # type: ignore[misc] # forget what the test before has sent
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return receiver


async def create(client: Client, **options: Any) -> int:
    body = {"token": client.tokens["employee"], "order_id": 7, "update_status": True}
    answer = await client.post(CREATE, {**body, "stage": "scheduled", "notes": CANARY}, **options)
    return answer.status_code


def parents(receiver: Receiver, span: Span) -> list[str]:
    """The names of the spans above one, the nearest first."""
    by_id = {each.span_id: each for each in receiver.spans}
    names = []
    while span.parent_span_id in by_id:
        span = by_id[span.parent_span_id]
        names.append(span.name)
    return names


async def test_request_is_a_server_span_below_its_callers(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        answer = await client.post(
            f"{CREATE}?page=1",
            {"token": tokens["employee"], "order_id": 7, "update_status": True, "stage": "new"},
            headers={**brought(), "x-request-id": "request-1"},
        )
    span = receiver.one(CREATED)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert (span.kind, span.trace_state) == (Span.SPAN_KIND_SERVER, "rojo=00f0")
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": CREATE,
        "http.response.status_code": answer.status_code,
        "url.scheme": "http",
        "url.path": CREATE,
        "client.address": "127.0.0.1",
        "gateway.request_id": "request-1",
        "gateway.route": "order_stages.create",
        "gateway.status": answer.json()["status"],
    }
    assert receiver.resource["service.name"] == "plano-gateway"


async def test_request_is_named_after_the_template_of_its_path(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    await apply_probe(database)
    async with serving(database, tokens, actions=actions(), check_returns="none") as client:
        await client.request("GET", f"/probe/41?token={tokens['employee']}")
        await client.request("GET", "/api/v1/nowhere")
    found = receiver.one("GET /probe/{number:int}")
    assert found.parent_span_id == b""
    assert attributes(found)["url.path"] == "/probe/41"
    assert "http.route" not in attributes(receiver.one("GET"))


async def test_statements_are_client_spans_with_names_and_without_values(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        assert await create(client, headers={**brought(), "idempotency-key": "k1"}) == 200
    statements = [span for span in receiver.spans if span.kind == Span.SPAN_KIND_CLIENT]
    names = {span.name for span in statements}
    assert {"BEGIN", "COMMIT", "order_stages.create", "identity.session_by_token"} <= names
    for span in statements:
        assert span.trace_id.hex() == TRACE
        assert parents(receiver, span) == [CREATED]
        shown = attributes(span)
        assert shown.pop("db.operation.name").isalpha()
        assert shown == {"db.system.name": "postgresql", "db.query.summary": span.name}


async def test_statement_that_fails_has_the_servers_code(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async def divide(call: Call) -> Reply:
        await call.db.fetch("select 1 / $1::int", 0)
        raise AssertionError

    await apply_probe(database)
    actions = Actions({"probe.crash": divide})
    async with serving(database, tokens, actions=actions) as client:
        await client.post("/api/v1/probe/crash", {"token": tokens["employee"]})
    statement = receiver.one("SELECT")
    assert statement.status.code == Status.STATUS_CODE_ERROR
    shown = attributes(statement)
    assert (shown["error.type"], shown["db.response.status_code"]) == ("22012", "22012")
    request = receiver.one("POST /api/v1/probe/crash")
    assert request.status.code == Status.STATUS_CODE_ERROR
    assert attributes(request)["error.type"] == "application-crash"


async def test_refusal_at_the_callers_fault_is_not_an_error(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        await client.post(CREATE, {"token": "wrong"})
    span = receiver.one(CREATED)
    assert attributes(span)["http.response.status_code"] == 401
    assert span.status.code == Status.STATUS_CODE_UNSET


async def test_no_secret_is_exported(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    await apply_probe(database)
    async with serving(database, tokens, actions=actions()) as client:
        await create(client)
        await client.post(
            f"/api/v1/probe/crash?text={CANARY}",
            {"token": tokens["employee"], "text": CANARY},
            headers={"authorization": f"Bearer {CANARY}", "cookie": CANARY, "user-agent": CANARY},
        )
        await client.post(
            "/api/v1/sessions/create", {"email": "employee@example.com", "password": CANARY}
        )
    sent = b"".join(receiver.bodies)
    assert b"order_stages.create" in sent
    for secret in (CANARY, SECRET, tokens["employee"], "employee@example.com"):
        assert secret.encode() not in sent


@pytest.mark.parametrize(
    ("sampler", "flags", "passed_on"),
    [
        ("", "00", "00"),
        ("", "01", "01"),
        ("always_on", "00", "01"),
        ("always_off", "01", "00"),
        ("parentbased_always_off", "01", "01"),
        ("traceidratio", "01", "00"),
        ("parentbased_traceidratio", "01", "01"),
    ],
)
async def test_decision_is_the_samplers_and_is_passed_on(
    receiver: Receiver,
    sampled_by: Callable[..., AbstractAsyncContextManager[Client]],
    sampler: str,
    flags: str,
    passed_on: str,
) -> None:
    async with sampled_by(sampler, "0") as client:
        body = {"token": client.tokens["employee"]}
        answer = await client.post("/api/v1/probe/echo", body, headers=brought(flags))
    _, trace, span, flag = answer.json()["data"]["traceparent"].split("-")
    assert (trace, flag) == (TRACE, passed_on)
    received = [each.span_id.hex() for each in receiver.named("POST /api/v1/probe/echo")]
    assert received == ([span] if passed_on == "01" else [])
    assert bool(receiver.spans) is (passed_on == "01")


@pytest.mark.parametrize(("ratio", "flag"), [("0", "00"), ("1", "01")])
async def test_request_without_a_trace_gets_one_that_the_ratio_decides(
    receiver: Receiver,
    sampled_by: Callable[..., AbstractAsyncContextManager[Client]],
    ratio: str,
    flag: str,
) -> None:
    async with sampled_by("parentbased_traceidratio", ratio) as client:
        answer = await client.post("/api/v1/probe/echo", {"token": client.tokens["employee"]})
    assert answer.json()["data"]["traceparent"].endswith(f"-{flag}")
    assert len(receiver.named("POST /api/v1/probe/echo")) == int(ratio)


@pytest.fixture
def sampled_by(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """A worker with a sampler, whose action `probe.echo` answers its `traceparent`."""

    async def echo(call: Call) -> Reply:
        return Reply({"traceparent": call.traceparent})

    @asynccontextmanager
    async def serving_with(sampler: str, argument: str) -> AsyncIterator[Client]:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
        await apply_probe(database)
        own = Actions({"probe.echo": echo})
        async with serving(database, tokens, actions=own, check_returns="none") as client:
            yield client

    return serving_with


async def test_mail_is_a_span_and_passes_its_own_place_on(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    server = RecordingServer()
    server.reply = JSONResponse([{"status": "rejected", "reject_reason": "spam"}])
    with served_in_thread(server.app) as address:
        settings = {"mandrill_url": address, "mandrill_api_key": KEY}
        async with serving(database, tokens, actions=None, **settings) as client:
            await client.post(CREATE, {"token": tokens["employee"], **STAGE}, headers=brought())
    span = receiver.one("send mail")
    assert parents(receiver, span) == [CREATED]
    assert attributes(span)["error.type"] == "rejected: spam"
    [headers] = server.headers
    assert headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    sent = b"".join(receiver.bodies)
    assert KEY.encode() not in sent
    assert b"client@example.com" not in sent


async def test_batch_belongs_to_the_recorded_call_in_it(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        await create(client, headers=brought("00"))
        calls = [create(client, headers=brought(flags)) for flags in ("00", "00", "01", "00")]
        assert await asyncio.gather(*calls) == [200] * 4
    [statement] = receiver.named("order_stages.create")
    assert parents(receiver, statement) == [CREATED]


async def test_exporter_that_is_refused_is_one_line_until_it_works_again(
    receiver: Receiver,
    database: str,
    tokens: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    receiver.status = 400
    async with serving(database, tokens) as client:
        for count in (1, 2, 3):
            assert await create(client) == 200
            await until(lambda count=count: len(receiver.bodies) >= count)  # type: ignore[misc]
        receiver.status = 200
        await create(client)
        await until(lambda: logged(caplog, events.TRACING_EXPORT_RESUMED))
    assert logged(caplog, events.TRACING_EXPORT_FAILED) == [{"reason": "HTTP 400"}]
    [resumed] = logged(caplog, events.TRACING_EXPORT_RESUMED)
    assert resumed["lost"] > 0


async def test_exporter_without_a_receiver_delays_neither_calls_nor_the_stop(
    receiver: Receiver,
    database: str,
    tokens: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(otlp, "FLUSH_TIMEOUT", 0.1)
    receiver.delay = 30
    async with serving(database, tokens) as client:
        assert await create(client) == 200
        await until(lambda: receiver.bodies)
        assert await create(client) == 200
    assert logged(caplog, events.TRACING_EXPORT_FAILED) == [{"reason": "no answer before the stop"}]


async def test_worker_that_stops_sends_its_last_spans(
    receiver: Receiver,
    database: str,
    tokens: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    async with serving(database, tokens) as client:
        await create(client)
        assert receiver.spans == []
    assert receiver.named(CREATED)


async def test_span_that_fails_fails_no_request(
    receiver: Receiver,
    database: str,
    tokens: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: FinishedSpan) -> None:
        raise LookupError

    monkeypatch.setattr(spans, "_failed", set())
    unsubscribe = spans.subscribe(fail)
    try:
        async with serving(database, tokens) as client:
            assert await create(client) == await create(client) == 200
    finally:
        unsubscribe()
    assert logged(caplog, events.TRACING_SPAN_FAILED) == [{"error": "LookupError"}]
    assert receiver.named(CREATED)


async def test_request_to_another_service_is_a_client_span_with_the_status(
    receiver: Receiver, database: str, tokens: dict[str, str]
) -> None:
    async def call_another(_: Call) -> Reply:
        with http_request("POST", "orders.internal", 8080, "/orders/{id}") as span:
            note_answer(span, 404)
        return Reply({})

    await apply_probe(database)
    own = Actions({"probe.echo": call_another})
    async with serving(database, tokens, actions=own, check_returns="none") as client:
        await client.post("/api/v1/probe/echo", {"token": tokens["employee"]})
    span = receiver.one("POST /orders/{id}")
    assert (span.kind, span.status.code) == (Span.SPAN_KIND_CLIENT, Status.STATUS_CODE_ERROR)
    assert parents(receiver, span) == ["POST /api/v1/probe/echo"]
    assert attributes(span) == {
        "http.request.method": "POST",
        "server.address": "orders.internal",
        "server.port": 8080,
        "url.template": "/orders/{id}",
        "http.response.status_code": 404,
        "error.type": "404",
    }
