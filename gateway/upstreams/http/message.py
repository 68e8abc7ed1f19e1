"""What is sent to a service: the call as JSON, and the headers that identify and sign it."""

from typing import Any

import orjson

from gateway.runtime import random_ids, signature, trace_context
from gateway.upstreams.call import Call
from gateway.values import Session


class Message:
    """One call of an http service; all attempts at it have the same body, id and path."""

    __slots__ = ("_call", "_id", "body", "is_repeatable", "path", "template")

    def __init__(self, call: Call) -> None:
        service, _, action = call.route.handler.partition(".")
        self.path = f"/{service}/{action}"
        self.body = orjson.dumps({"params": call.params, "caller": _caller(call)})
        # A service may be asked twice for what only reads, or for what it can recognise.
        self.is_repeatable = call.route.method == "GET" or call.claim is not None
        self._call = call
        self._id = random_ids.make()

    def headers(self, host: str, key: bytes, seconds: float) -> dict[str, str]:
        """The headers of an attempt that has so many seconds, signed now."""
        call = self._call
        headers = {
            "host": host,
            "content-type": "application/json",
            "x-request-id": call.request_id,
            "x-deadline-ms": str(max(1, int(seconds * 1000))),
            **signature.signed_headers(key, self._id, self.body),
            **_trace(call),
        }
        if call.claim:
            # The digest includes the caller, so that two callers' keys never meet.
            headers["idempotency-key"] = call.claim.key.hex()
        return headers


def _trace(call: Call) -> dict[str, str]:
    """The span of this attempt, or the trace that the request brought."""
    if headers := trace_context.outgoing():
        return headers
    if call.trace is None:
        return {}
    state = {"tracestate": call.trace.state} if call.trace.state else {}
    return {"traceparent": call.trace.traceparent, **state}


def _caller(call: Call) -> dict[str, Any]:
    caller = call.caller
    return {
        "user_id": caller.user_id,
        "application": caller.application_slug,
        "application_id": caller.application.id if caller.application else None,
        "role": caller.role,
        "address": call.address,
        **(_user(caller.session) if caller.session else _NO_USER),
    }


def _user(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in _NO_USER}


_NO_USER: dict[str, None] = dict.fromkeys(
    ("first_name", "last_name", "email", "roles", "permissions")
)
