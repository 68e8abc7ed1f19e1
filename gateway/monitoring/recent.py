"""The latest faults of a worker, with their log lines, in a ring of bounded size."""

import asyncio
import collections
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.runtime import events
from gateway.runtime.events import Event, Fields

MAX_FAULTS = 60
MAX_OF_ROUTE = 10
"""Faults that are kept in all, and of one route: a route that fails at each call hides no other."""

MAX_LINES = 200
"""Log lines of requests that are kept until their request ends."""

MAX_LINE = 600
"""Characters of a log line that are kept."""


class RecentFaults:
    """The latest requests for whose faults the gateway or a dependency is to blame."""

    def __init__(self) -> None:
        self._faults: dict[str, collections.deque[dict[str, Any]]] = {}
        self._lines: collections.OrderedDict[str, str] = collections.OrderedDict()

    async def run(self) -> None:
        """Read the events until cancelled."""
        unsubscribe = events.subscribe(self.read)
        try:
            await asyncio.Event().wait()
        finally:
            unsubscribe()

    def read(self, event: Event, fields: Fields) -> None:
        """Read an event: keep its log line, which holds no secret, for its request."""
        request_id = fields.get("request_id")
        if not request_id:
            return
        line = orjson.dumps({"event": event.name, **fields}, default=str).decode()
        self._lines[request_id] = line[:MAX_LINE]
        if len(self._lines) > MAX_LINES:
            self._lines.popitem(last=False)

    def add(self, route: str, request_id: str, slug: str, code: int) -> None:
        """Add a request that has ended."""
        # The newest route is the last, so that the first one is dropped if there are too many.
        faults = self._faults.pop(route, None) or collections.deque(maxlen=MAX_OF_ROUTE)
        self._faults[route] = faults
        faults.append(
            {
                "at": datetime.now(UTC).isoformat(),
                "route": route,
                "request_id": request_id,
                "slug": slug,
                "code": code,
            }
        )
        while sum(map(len, self._faults.values())) > MAX_FAULTS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        route = next(iter(self._faults))
        self._faults[route].popleft()
        if not self._faults[route]:
            del self._faults[route]

    def newest(self) -> Sequence[Mapping[str, Any]]:
        """The faults, the newest first, each with its log line if there was one."""
        return sorted(self._with_lines(), key=lambda fault: str(fault["at"]), reverse=True)

    def _with_lines(self) -> Iterator[dict[str, Any]]:
        for faults in self._faults.values():
            for fault in faults:
                yield {**fault, "line": self._lines.get(fault["request_id"])}
