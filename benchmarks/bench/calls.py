"""The requests of the benchmarks, as bytes: the same for every server that can answer them."""

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
    """Files of requests, by what they ask for."""

    files: Mapping[str, Path]

    def body(self, name: str) -> int:
        """Bytes of the body of a file's first request."""
        first = self.files[name].read_bytes().split(load.SEPARATOR)[0]
        return len(first.partition(b"\r\n\r\n")[2])

    def __getitem__(self, name: str) -> Path:
        """One of the files."""
        return self.files[name]


def write(folder: Path, tokens: Sequence[str]) -> Requests:
    """Write the files of all workloads."""
    chance = random.Random(SEED)
    made = {
        "echo": [_post("/api/v1/bench/echo", _body(chance), each) for each in tokens],
        "create": [_post(CREATE, _body(chance), chance.choice(tokens)) for _ in range(DISTINCT)],
        "list": [_list(number, chance.choice(tokens)) for number in range(DISTINCT)],
        "same list": [_get("/services/statuses?limit=50", tokens[0])],
        "refused": [_post(CREATE, {"update_status": True}, each) for each in tokens],
        "log-in": [_log_in()],
        "slow": [_post("/api/v1/bench/slow", {"seconds": SLOW_SECONDS}, tokens[0])],
    }
    return Requests({name: load.write(folder, name, each) for name, each in made.items()})


CREATE = "/api/v1/order_stages/create"


def _body(chance: random.Random) -> dict[str, object]:
    return {"order_id": chance.choice(ORDERS), **BODY}


def _list(number: int, token: str) -> bytes:
    """All fifty, by a filter that no other request has."""
    since = datetime(2001, 1, 1) + timedelta(hours=number)  # noqa: DTZ001 - the API takes it bare
    return _get(f"/services/statuses?limit=50&created_at_min={quote(str(since))}", token)


def _log_in() -> bytes:
    given = {"email": "employee@example.com", "password": demo.PASSWORD}
    body = base64.b64encode(orjson.dumps({**given, "application": demo.APPLICATION}))
    return _request("POST /api/v1/sessions/create", body, "content-type: text/plain")


def _post(path: str, params: object, token: str) -> bytes:
    headers = ("content-type: application/json", _bearer(token))
    return _request(f"POST {path}", orjson.dumps(params), *headers)


def _get(target: str, token: str) -> bytes:
    return _request(f"GET {target}", b"", _bearer(token))


def _bearer(token: str) -> str:
    return f"authorization: Bearer {token}"


def _request(line: str, body: bytes, *headers: str) -> bytes:
    length = (f"content-length: {len(body)}",) if body else ()
    lines = [f"{line} HTTP/1.1", "host: 127.0.0.1", *headers, *length, "", ""]
    return "\r\n".join(lines).encode() + body
