"""The calls of the soak: their kinds, how many of each a second, and the answer each must get."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
from bench.calls import BODY, CREATE, bearer, get, post, request
from bench.database import ORDERS

from gateway.identity import tokens

READ, WRITE, MAIL = "reads", "writes", "mail"
"""Groups of calls whose latencies are compared: the calls of one group do similar work."""

STATUSES = 50
DISTINCT_HOURS = 2000
KEPT_CREATES = 200
"""Creates that may be repeated; the newest are excluded, since they may still be in flight."""

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call: its calls a second out of `RATE`, its group, and its expected answer."""

    name: str
    rate: int
    group: str = READ
    expected: str = "200"


KINDS = (
    Kind("list", 200),
    Kind("read", 100),
    Kind("create", 90, WRITE),
    Kind("create with mail", 5, MAIL),
    Kind("repeated create", 10, WRITE),
    Kind("status of an order", 25),
    Kind("stages of an order", 25),
    Kind("param missing", 20, expected="400 missing-param"),
    Kind("unknown token", 10, expected="401 invalid-token"),
    Kind("role without permission", 5, expected="403 permission-denied"),
    Kind("unknown path", 10, expected="500 route-non-existent"),
)
RATE = sum(kind.rate for kind in KINDS)
"""Calls a second."""


class Mix:
    """Makes requests; `callers` are tokens of employees, `client` is one of a client."""

    def __init__(self, callers: Sequence[str], client: str, rng: random.Random) -> None:
        self._callers = callers
        self._client = client
        self._rng = rng
        self._creates: deque[bytes] = deque(maxlen=KEPT_CREATES)
        self._make: Mapping[str, Make] = {
            "list": self._list,
            "read": self._read,
            "create": self._create,
            "create with mail": self._mail,
            "repeated create": self._repeat,
            "status of an order": self._status,
            "stages of an order": self._stages,
            "param missing": self._missing,
            "unknown token": self._unknown,
            "role without permission": self._denied,
            "unknown path": self._no_route,
        }

    def requests(self) -> Iterator[tuple[Kind, bytes]]:
        """Yield kinds at random, in proportion to their rates, each with a request."""
        weights = [kind.rate for kind in KINDS]
        while True:
            [kind] = self._rng.choices(KINDS, weights)
            yield kind, self._make[kind.name]()

    def _caller(self) -> str:
        return self._rng.choice(self._callers)

    def _order(self) -> dict[str, Any]:
        return {"order_id": self._rng.choice(ORDERS)}

    def _list(self) -> bytes:
        hours = timedelta(hours=self._rng.randrange(DISTINCT_HOURS))
        since = datetime(2001, 1, 1) + hours  # noqa: DTZ001 - the API takes no zone
        return get(
            f"/services/statuses?limit=50&created_at_min={quote(str(since))}", self._caller()
        )

    def _read(self) -> bytes:
        return get(f"/services/statuses/{self._rng.randint(1, STATUSES)}", self._caller())

    def _create(self) -> bytes:
        sent = self._keyed({**self._order(), **BODY})
        self._creates.append(sent)
        return sent

    def _mail(self) -> bytes:
        return self._keyed({**self._order(), **BODY, "event_slug": "stage-changed"})

    def _repeat(self) -> bytes:
        return self._creates[0] if len(self._creates) == KEPT_CREATES else self._create()

    def _keyed(self, params: object) -> bytes:
        key = f"idempotency-key: {self._rng.getrandbits(64):x}"
        headers = "content-type: application/json", bearer(self._caller()), key
        return request(f"POST {CREATE}", orjson.dumps(params), *headers)

    def _status(self) -> bytes:
        return post("/api/v1/order_statuses/read", self._order(), self._caller())

    def _stages(self) -> bytes:
        return post("/api/v1/order_stages/history", self._order(), self._caller())

    def _missing(self) -> bytes:
        return post(CREATE, {"update_status": True}, self._caller())

    def _unknown(self) -> bytes:
        return post(CREATE, {**self._order(), **BODY}, tokens.make(tokens.SESSION_PREFIX))

    def _denied(self) -> bytes:
        return post(CREATE, {**self._order(), **BODY}, self._client)

    def _no_route(self) -> bytes:
        return get(f"/api/v1/unknown/{self._rng.getrandbits(32):x}", self._caller())
