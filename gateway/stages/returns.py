"""Check an answer against its route's `returns`, the schema that the documentation promises.

A check takes microseconds to milliseconds: development and tests check every answer, production a
sample.
"""

import time

import orjson

from gateway.registry.records import Route
from gateway.runtime import events
from gateway.values import Reply

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
        self._next_checks: dict[str, float] = {}

    def check(self, reply: Reply, route: Route, request_id: str) -> Reply:
        """The reply, which is checked if it is its route's turn.

        Raises AnswerMisfitError in the mode `all`; in the mode `sample` emits an event instead.
        """
        if route.returns is None or self._is_off:
            return reply
        if self._is_strict or self._is_due(route.name):
            rule = _broken_rule(reply, route, None if self._is_strict else MAX_SAMPLE)
            if rule and self._is_strict:
                raise AnswerMisfitError(rule)
            if rule:
                events.emit(
                    events.REQUEST_ANSWER_MISFIT, request_id=request_id, route=route.name, rule=rule
                )
        return reply

    def _is_due(self, route: str) -> bool:
        now = time.monotonic()
        if now < self._next_checks.get(route, 0.0):
            return False
        self._next_checks[route] = now + SAMPLE_INTERVAL
        return True


def _broken_rule(reply: Reply, route: Route, max_bytes: int | None) -> str:
    """The place in the schema of the first rule that an answer breaks; empty if it fits."""
    text = orjson.dumps(reply.data)
    if route.returns is None or (max_bytes is not None and len(text) > max_bytes):
        return ""
    # As the client reads it: a service's answer may hold pieces of JSON that are text already.
    value = orjson.loads(text)
    error = next(iter(route.returns.validator.iter_errors(value)), None)
    return "/" + "/".join(map(str, error.schema_path)) if error else ""
