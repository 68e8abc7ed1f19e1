"""The requests of the benchmarks, as bytes: every server gets the same."""

import base64
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from bench import load
from bench.database import ORDERS
from gateway.dev import demo

SEED = 1
DISTINCT = 2000
SLOW_SECONDS = 1.0
BODY: dict[str, Any] = {
    "update_status": True,
    "stage": "scheduled",
    "notes": "n" * 300,
    "appointment": {"appt_id": 1, "appt_start_at": "10:00"},
    "order": {"notes": "n" * 100},
}


@dataclass(frozen=True, slots=True)
class Requests:
    """Files of requests, by the name of the request."""

    files: Mapping[str, Path]

    def body_length(self, name: str) -> int:
        """The length in bytes of the body of a file's first request."""
        first = self.files[name].read_bytes().split(load.SEPARATOR)[0]
        return len(first.partition(b"\r\n\r\n")[2])

    def __getitem__(self, name: str) -> Path:
        """The file of one kind of request."""
        return self.files[name]


def write(folder: Path, tokens: Sequence[str]) -> Requests:
    """Write the files of all workloads."""
    rng = random.Random(SEED)
    requests = {
        "echo": [post("/api/v1/bench/echo", _body(rng), token) for token in tokens],
        "create": [post(CREATE, _body(rng), rng.choice(tokens)) for _ in range(DISTINCT)],
        "list": [_list(hours, rng.choice(tokens)) for hours in range(DISTINCT)],
        "same list": [get("/services/statuses?limit=50", tokens[0])],
        "refused": [post(CREATE, {"update_status": True}, token) for token in tokens],
        "log-in": [log_in()],
        "slow": [post("/api/v1/bench/slow", {"seconds": SLOW_SECONDS}, tokens[0])],
    }
    return Requests({name: load.write(folder, name, sent) for name, sent in requests.items()})


CREATE = "/api/v1/order_stages/create"


def _body(rng: random.Random) -> dict[str, object]:
    return {"order_id": rng.choice(ORDERS), **BODY}


def _list(hours: int, token: str) -> bytes:
    """A list of all fifty statuses; each request filters by a different time."""
    since = datetime(2001, 1, 1) + timedelta(hours=hours)  # noqa: DTZ001 - the API takes no zone
    return get(f"/services/statuses?limit=50&created_at_min={quote(str(since))}", token)


def log_in() -> bytes:
    """A log-in of the demo's employee."""
    credentials = {"email": "employee@example.com", "password": demo.PASSWORD}
    body = base64.b64encode(orjson.dumps({**credentials, "application": demo.APPLICATION}))
    return request("POST /api/v1/sessions/create", body, "content-type: text/plain")


def post(path: str, params: object, token: str) -> bytes:
    """A POST of params as JSON."""
    headers = ("content-type: application/json", bearer(token))
    return request(f"POST {path}", orjson.dumps(params), *headers)


def get(target: str, token: str) -> bytes:
    """A GET of a path with its query."""
    return request(f"GET {target}", b"", bearer(token))


def bearer(token: str) -> str:
    """The header line that presents a token."""
    return f"authorization: Bearer {token}"


def request(line: str, body: bytes, *headers: str) -> bytes:
    """A request with a method and target, header lines, and a body that may be empty."""
    length = (f"content-length: {len(body)}",) if body else ()
    lines = [f"{line} HTTP/1.1", "host: 127.0.0.1", *headers, *length, "", ""]
    return "\r\n".join(lines).encode() + body
