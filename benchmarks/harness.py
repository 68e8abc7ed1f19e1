"""A worker in this process without a database, with one known token and the project's routes.

Programs that count the work of one request send it over a connection without a socket.
"""

import asyncio
import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson
import uvicorn

from gateway import Call, Reply
from gateway.edge.connection import EdgeState
from gateway.edge.protocol import Edge
from gateway.identity import tokens
from gateway.manifest.check import check
from gateway.registry.records import application_from, route_from, service_from
from gateway.registry.schema import interned
from gateway.registry.table import Table
from gateway.runtime.log import AccessLog
from gateway.serve.request_log import RequestLog
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.upstreams.python import Actions
from gateway.values import Session

PATH = "/api/v1/order_stages/create"
BODY = {
    "order_id": 7,
    "update_status": True,
    "stage": "scheduled",
    "notes": "n" * 300,
    "appointment": {"appt_id": 1, "appt_start_at": "10:00"},
    "order": {"notes": "n" * 100},
}
TOKEN = tokens.SESSION_PREFIX + "a" * 43
YEARS = 1e9


async def echo(call: Call) -> Reply:
    """Return the params: a no-op in the place of a service."""
    return Reply(call.params)


def worker() -> Worker:
    """A worker that is never started: it serves from a table and a token in memory."""
    worker = Worker(Settings.load({}), Actions({"order_stages.create": echo}))
    log_to(worker, io.StringIO())
    worker.registry.current = _table()
    cache = worker.identity.store.cache
    cache.store(tokens.digest(TOKEN), _session(), time.monotonic() + YEARS)
    return worker


def log_to(worker: Worker, out: TextIO) -> None:
    """Write the access lines of a worker there."""
    worker.access = AccessLog(out)
    worker.app._observer = RequestLog(worker.access, worker.metrics, worker.recent)


def _table() -> Table:
    table = Table(1)
    for desired in check(Path(__file__).parents[1] / "routes.yaml"):
        table.applications = {
            slug: application_from(slug, record) for slug, record in desired.applications.items()
        }
        table.services = {
            **table.services,
            **{name: service_from(name, record) for name, record in desired.services.items()},
        }
        for name, route in desired.routes.items():
            # The answer of `echo` is not that of the route's service, so any answer fits.
            record = {**route.record, "returns": "{}"}
            table.add(route_from(name, record, interned(route.params)))
    return table


def _session() -> Session:
    now = datetime.now(UTC)
    return Session(
        id=1,
        user_id=1,
        first_name="Ada",
        last_name="Fields",
        email="employee@example.com",
        application="planoorder",
        roles=("employee",),
        permissions=("ops",),
        remember_me=True,
        remember_since=None,
        created_at=now,
        last_used_at=now,
        address=None,
    )


def request_body() -> bytes:
    """The body of the measured request."""
    return orjson.dumps({"token": TOKEN, **BODY})


class MemoryTransport:
    """A transport without a socket, which keeps the bytes that are written."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    def close(self) -> None:
        """There is no socket to close."""

    def get_extra_info(self, _: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False


def connection(app: Any) -> tuple[Edge, MemoryTransport]:
    """A connection to an application, as uvicorn's server creates it."""
    state, transport = EdgeState(), MemoryTransport()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 00:00:00 GMT")]
    return edge(app, transport, state), transport


def edge(app: Any, transport: MemoryTransport, state: EdgeState) -> Edge:
    """The protocol of a connection; those of one server share its state."""
    options: dict[str, Any] = {
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "proxy_headers": False,
    }
    config = uvicorn.Config(app, http=Edge, **options)
    config.load()
    edge = Edge(config=config, server_state=state, app_state={})
    edge.connection_made(transport)
    return edge


def request() -> bytes:
    """The measured request."""
    return post(PATH, {"token": TOKEN, **BODY})


def post(path: str, params: object, token: str = "") -> bytes:
    """A POST request; a token that is not among the params is sent as a header."""
    body = orjson.dumps(params)
    fields = f"authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{fields}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def answer(edge: Edge, transport: MemoryTransport, request: bytes) -> bytes:
    """Send a request and return its answer; the application must not wait for anything."""
    transport.written = b""
    edge.data_received(request)
    while not transport.written:  # noqa: ASYNC110 - one turn of the loop, without a delay
        await asyncio.sleep(0)
    return transport.written
