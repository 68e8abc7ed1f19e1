"""A trace that a request brings reaches the service, the log and what the gateway sends."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import harness
import orjson
import pytest
from starlette.responses import JSONResponse
from support.harness import Client, serving
from support.mail import create
from support.mandrill import KEY, RecordingServer, served_in_thread
from support.probe import actions, apply_probe

from gateway import Call, Reply
from gateway.runtime import log
from gateway.upstreams.python import Actions

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7"
BROUGHT = {"traceparent": PARENT, "tracestate": STATE}


@contextmanager
def lines(client: Client) -> Iterator[list[dict[str, Any]]]:
    """The lines of the log that are written in the block: events, then access lines."""
    out, seen = io.StringIO(), list[dict[str, Any]]()
    handler = logging.StreamHandler(out)
    handler.setFormatter(log._JsonLines())
    logger = logging.getLogger("gateway")
    logger.addHandler(handler)
    harness.log_to(client.worker, out)
    try:
        yield seen
    finally:
        logger.removeHandler(handler)
        client.worker.access.flush()
        seen += map(orjson.loads, out.getvalue().splitlines())


@pytest.fixture
async def tracing(database: str, tokens: dict[str, str]) -> AsyncIterator[Client]:
    """A worker whose action `probe.echo` answers what it would pass on."""

    async def echo(call: Call) -> Reply:
        return Reply({"traceparent": call.traceparent, "tracestate": call.tracestate})

    await apply_probe(database)
    probes = {name: action for name in actions().names() if (action := actions().find(name))}
    own = Actions({**probes, "probe.echo": echo})
    async with serving(database, tokens, actions=own, check_returns="none") as client:
        yield client


async def call(client: Client, route: str = "probe/echo", **options: Any) -> Any:
    answer = await client.post(f"/api/v1/{route}", {"token": client.tokens["employee"]}, **options)
    return answer.json().get("data")


async def test_trace_of_a_request_reaches_the_service_and_the_access_line(tracing: Client) -> None:
    with lines(tracing) as seen:
        assert await call(tracing, headers=BROUGHT) == BROUGHT
    assert [line["trace_id"] for line in seen] == [TRACE]


@pytest.mark.parametrize(
    "headers", [{}, {"traceparent": f"{PARENT}-x", "tracestate": STATE}, {"tracestate": STATE}]
)
async def test_request_without_a_valid_trace_has_none(
    tracing: Client, headers: dict[str, str]
) -> None:
    with lines(tracing) as seen:
        data = await call(tracing, headers=headers)
    assert data == {"traceparent": None, "tracestate": None}
    assert ["trace_id" in line for line in seen] == [False]


async def test_events_of_a_request_name_its_trace(tracing: Client) -> None:
    with lines(tracing) as seen:
        await call(tracing, "probe/crash", headers=BROUGHT)
        await call(tracing, "probe/crash")
    events = [(line["event"], line.get("trace_id")) for line in seen]
    assert sorted(events, key=str) == [
        *[("request", TRACE), ("request", None)],
        *[("request.crashed", TRACE), ("request.crashed", None)],
    ]


async def test_mail_of_a_call_passes_its_trace_on(database: str, tokens: dict[str, str]) -> None:
    server = RecordingServer()
    server.reply = JSONResponse([{"status": "sent", "_id": "1"}])
    with served_in_thread(server.app) as address:
        mandrill = {"mandrill_url": address, "mandrill_api_key": KEY}
        async with serving(database, tokens, actions=None, **mandrill) as client:
            body = {"token": tokens["employee"], **STAGE}
            await client.post("/api/v1/order_stages/create", body, headers=BROUGHT)
            # The same thread sends it, with the same connection.
            await create(client)
    names = ("traceparent", "tracestate")
    passed = [tuple(headers.get(name) for name in names) for headers in server.headers]
    assert passed == [(PARENT, STATE), (None, None)]


STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled", "event_slug": "stage-changed"}


async def test_pipelined_request_does_not_inherit_the_trace_of_the_one_before() -> None:
    worker = harness.worker()

    async def crash(_: Call) -> Reply:
        await asyncio.sleep(0)
        raise RuntimeError

    worker.use(Actions({"order_stages.create": crash}))
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(log._JsonLines())
    logging.getLogger("gateway").addHandler(handler)
    try:
        edge, wire = harness.connection(worker.app)
        plain = harness.request()
        traced = plain.replace(
            b"host: x\r\n", b"host: x\r\ntraceparent: " + PARENT.encode() + b"\r\n"
        )
        edge.data_received(traced + plain)
        while wire.written.count(b"HTTP/1.1 500 ") < 2:  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
    finally:
        logging.getLogger("gateway").removeHandler(handler)
    crashes = map(orjson.loads, out.getvalue().splitlines())
    assert [line.get("trace_id") for line in crashes] == [TRACE, None]
