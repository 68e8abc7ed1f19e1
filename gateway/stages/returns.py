"""Check an answer against its route's `returns`, the schema that the documentation promises.

A check takes microseconds to milliseconds: development and tests check every answer, production a
sample.
"""

from collections import defaultdict

import orjson

from gateway.registry.records import Route
from gateway.runtime import events
from gateway.values import Reply, Request

SAMPLE_INTERVAL = 1.0
"""Seconds between two checks of one route, in one worker."""

MAX_SAMPLE = 256 * 1024
"""Bytes; a larger answer is not checked in production, where it would delay other requests."""


class AnswerMisfitError(Exception):
    """An answer does not fit the schema of its route; the text names the broken rule, no value."""


class ReturnsCheck:
    """Checks answers: `mode` is `all`, `sample` or `none`, as the setting `check_returns`."""

    def __init__(self, mode: str) -> None:
        self._is_strict = mode == "all"
        self._is_off = mode == "none"
        self._next_checks: defaultdict[str, float] = defaultdict(float)

    def check(self, reply: Reply, route: Route, request: Request) -> Reply:
        """The reply, which is checked if it is its route's turn.

        Raises AnswerMisfitError in the mode `all`; in the mode `sample` emits an event instead.
        """
        if route.returns is None or self._is_off:
            return reply
        if self._is_strict:
            if rule := _broken_rule(reply, route):
                raise AnswerMisfitError(rule)
        # Every request comes here: it has read the clock already, and this calls nothing more.
        elif request.received_at >= self._next_checks[route.name]:
            self._next_checks[route.name] = request.received_at + SAMPLE_INTERVAL
            if rule := _broken_rule(reply, route, MAX_SAMPLE):
                events.emit(
                    events.REQUEST_ANSWER_MISFIT, request_id=request.id, route=route.name, rule=rule
                )
        return reply


def _broken_rule(reply: Reply, route: Route, max_bytes: int | None = None) -> str:
    """The place in the schema of the first rule that an answer breaks; empty if it fits."""
    text = orjson.dumps(reply.data)
    if route.returns is None or (max_bytes is not None and len(text) > max_bytes):
        return ""
    # As the client reads it: a service's answer may hold pieces of JSON that are text already.
    value = orjson.loads(text)
    error = next(iter(route.returns.validator.iter_errors(value)), None)
    return "/" + "/".join(map(str, error.schema_path)) if error else ""
