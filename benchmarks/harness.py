"""A worker in this process without a database: one known token, the repository's own routes.

What counts the work of one request sends it over a connection that has no socket.
"""

import asyncio
import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson
import uvicorn
from uvicorn.server import ServerState

from gateway import Call, Reply
from gateway.edge.protocol import Edge
from gateway.identity import tokens
from gateway.manifest.check import check
from gateway.registry.records import route_from, service_from
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
    """The no-op that stands where the service would."""
    return Reply(call.params)


def worker() -> Worker:
    """A worker that is never run: it serves from a table and a token in memory."""
    made = Worker(Settings.load({}), Actions({"order_stages.create": echo}))
    log_to(made, io.StringIO())
    made.registry.current = _table()
    cache = made.identity.store.cache
    cache.store(tokens.digest(TOKEN), _session(), time.monotonic() + YEARS)
    return made


def log_to(worker: Worker, out: TextIO) -> None:
    """Write the access lines of a worker there."""
    worker.access = AccessLog(out)
    worker.app._observer = RequestLog(worker.access, worker.metrics)


def _table() -> Table:
    table = Table(1)
    for desired in check(Path(__file__).parents[1] / "routes.yaml"):
        table.services = {
            **table.services,
            **{name: service_from(name, record) for name, record in desired.services.items()},
        }
        for name, route in desired.routes.items():
            table.add(route_from(name, route.record, interned(route.params)))
    return table


def _session() -> Session:
    now = datetime.now(UTC)
    names = "Ada", "Fields", "employee@example.com", "planoorder"
    return Session(1, 1, *names, ("employee",), ("ops",), True, now, now, None)  # noqa: FBT003


def request_body() -> bytes:
    """The body of the one request that is measured."""
    return orjson.dumps({"token": TOKEN, **BODY})


class Wire:
    """A transport that keeps what is written and has no socket."""

    def __init__(self) -> None:
        self.said = b""
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.said += data
        self.writes += 1

    def close(self) -> None:
        """There is no socket to close."""

    def get_extra_info(self, _: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False


def connection(app: Any) -> tuple[Edge, Wire]:
    """A connection to an application, as uvicorn's server makes it."""
    given: dict[str, Any] = {
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "proxy_headers": False,
    }
    config = uvicorn.Config(app, http=Edge, **given)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 00:00:00 GMT")]
    made = Edge(config=config, server_state=state, app_state={})
    wire = Wire()
    made.connection_made(wire)
    return made, wire


def request() -> bytes:
    """The one request that is measured."""
    body = orjson.dumps({"token": TOKEN, **BODY})
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def answer(edge: Edge, wire: Wire, asked: bytes) -> bytes:
    """What is said to a request whose application does not wait for anything."""
    wire.said = b""
    edge.data_received(asked)
    while not wire.said:  # noqa: ASYNC110 - a turn of the loop, and no time
        await asyncio.sleep(0)
    return wire.said
