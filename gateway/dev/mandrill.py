"""A stand-in for Mandrill: accepts messages, lists them on a page, and fails on request.

It answers as https://mandrillapp.com/api/docs/messages.html describes. The recipient's local part,
up to a plus sign, selects the answer (`FAILURES`, `REFUSALS`): `payment+1@example.com` gets
PaymentRequired.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.pages import assets
from gateway.pages.render import page

API = "/api/1.0/"
TEMPLATES = frozenset({"order-stage-changed", "password-reset"})
MAX_MESSAGES = 200
"""Messages that are kept; older ones are dropped."""

SLOW_DELAY = 30.0
"""Seconds until a message to `slow@` is answered."""

MAX_BURST = 10
"""Recipients; a message to more is always queued."""

CODES = {
    "GeneralError": -99,
    "Invalid_Key": -1,
    "PaymentRequired": 10,
    "Unknown_Subaccount": 12,
    "Unknown_Template": 5,
    "ValidationError": -2,
}
FAILURES = {
    "drop": "closed without an answer",
    "general": "GeneralError",
    "html": "HTTP 502",
    "limited": "HTTP 429",
    "payment": "PaymentRequired",
    "slow": "answered late",
    "subaccount": "Unknown_Subaccount",
}
"""The outcome of a whole message, by the local part of its first recipient."""

REFUSALS = {"rejected": "hard-bounce", "invalid": "invalid"}
"""The `reject_reason` of a recipient, by local part; the local part is the `status`."""

_STRINGS = {"type": "array", "items": {"type": "string"}}
_VARIABLE = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
_RECIPIENT = {
    "type": "object",
    "required": ["email"],
    "properties": {
        "email": {"type": "string", "minLength": 1},
        "name": {"type": ["string", "null"]},
        "type": {"enum": ["to", "cc", "bcc"]},
    },
}
_MESSAGE = {
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {"type": "array", "minItems": 1, "items": _RECIPIENT},
        "global_merge_vars": {"type": "array", "items": _VARIABLE},
        "tags": _STRINGS,
        "metadata": {"type": "object"},
    },
}
_SEND_TEMPLATE = Draft202012Validator(
    {
        "type": "object",
        "required": ["template_name", "template_content", "message"],
        "properties": {
            "template_name": {"type": "string", "minLength": 1},
            "template_content": {"type": "array", "items": _VARIABLE},
            "message": _MESSAGE,
            "async": {"type": "boolean"},
            "ip_pool": {"type": ["string", "null"]},
            "send_at": {"type": ["string", "null"]},
        },
    }
)


class Received(NamedTuple):
    """A message and its outcome, `answer`; `at` is when it arrived, as ISO 8601 in UTC."""

    at: str
    template: str
    message: dict[str, Any]
    answer: str


class RefusalError(Exception):
    """Answer the request with one of Mandrill's errors, by name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Application(Starlette):
    """An application whose scopes hold uvicorn's object of the connection, as `cycle`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["cycle"] = getattr(send, "__self__", None)
        await super().__call__(scope, receive, send)


class StandIn:
    """The stand-in: `app` is the ASGI application, `received` the messages, newest first.

    `failure` is one of the outcomes in `FAILURES`, for every message; None if recipients decide.
    """

    def __init__(self, slow_delay: float = SLOW_DELAY) -> None:
        self._slow_delay = slow_delay
        self.failure: str | None = None
        self.received: deque[Received] = deque(maxlen=MAX_MESSAGES)
        self.app: Starlette = _Application(
            routes=[
                Route(API + "messages/send-template.json", self._send_template, methods=["POST"]),
                Route(API + "users/ping.json", self._ping, methods=["POST"]),
                Route("/", self._page),
                Route(f"{assets.PATH}/{{digest}}/{{name}}", assets.serve),
                Route("/received.json", self._list),
                Route("/forget", self._clear, methods=["POST"]),
            ],
            exception_handlers={RefusalError: _refuse},
        )

    async def _ping(self, request: Request) -> Response:
        await _read_body(request)
        return JSONResponse("PONG!")

    async def _send_template(self, request: Request) -> Response:
        body = await _read_body(request)
        if error := best_match(_SEND_TEMPLATE.iter_errors(body)):
            raise RefusalError(
                "ValidationError", _validation_message(error.absolute_path, error.message)
            )
        failure = self.failure or _failure(body)
        replies = [_reply(recipient["email"], body) for recipient in body["message"]["to"]]
        answer = failure or ", ".join(_outcome(reply) for reply in replies)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.received.appendleft(Received(now, body["template_name"], body["message"], answer))
        return await self._fail(failure, request) or JSONResponse(replies)

    async def _fail(self, failure: str, request: Request) -> Response | None:
        """Fail as the recipient requests; None if the message is answered as usual."""
        if failure in CODES:
            raise RefusalError(failure, f"The recipient requested {failure}.")
        match failure:
            case "HTTP 502":
                return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)
            case "HTTP 429":
                return PlainTextResponse("Too Many Requests", 429)
            case "answered late":
                await _wait_for_disconnect(request, self._slow_delay)
            case "closed without an answer":
                request.scope["cycle"].transport.abort()
                await _wait_for_disconnect(request, self._slow_delay)
        return None

    def _page(self, _: Request) -> Response:
        # Messages may hold any HTML. It is escaped, and the policy of pages keeps it from loading
        # anything.
        return page("mail.html", messages=list(self.received), maximum=MAX_MESSAGES)

    async def _list(self, _: Request) -> Response:
        return JSONResponse([entry._asdict() for entry in self.received])

    async def _clear(self, _: Request) -> Response:
        self.received.clear()
        return RedirectResponse("/", 303)


async def _read_body(request: Request) -> dict[str, Any]:
    """The request's JSON object, with a valid key. Raises RefusalError."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("key"), str) or not body["key"]:
        raise RefusalError("ValidationError", "You must specify a key value")
    if body["key"].startswith("invalid"):
        raise RefusalError("Invalid_Key", "Invalid API key")
    return body


async def _wait_for_disconnect(request: Request, seconds: float) -> None:
    """Wait until the client disconnects, at most so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass


async def _refuse(_: Request, error: Exception) -> Response:
    name = error.name if isinstance(error, RefusalError) else "GeneralError"
    body = {"status": "error", "code": CODES[name], "name": name, "message": str(error)}
    return JSONResponse(body, 500)


def _validation_message(path: Sequence[str | int], message: str) -> str:
    """Mandrill's text: the message within JSON objects that name its path."""
    detail: Any = message
    for step in reversed(path):
        detail = {str(step): detail}
    return f"Validation error: {orjson.dumps(detail).decode()}"


def _failure(body: dict[str, Any]) -> str:
    if body["template_name"] not in TEMPLATES:
        return "Unknown_Template"
    return FAILURES.get(_local_part(body["message"]["to"][0]["email"]), "")


def _local_part(email: str) -> str:
    return email.partition("@")[0].partition("+")[0]


def _reply(email: str, body: dict[str, Any]) -> dict[str, Any]:
    """The outcome for one recipient."""
    reply = {"email": email, "_id": uuid.uuid4().hex, "reject_reason": None, "queued_reason": None}
    name = _local_part(email)
    if body.get("async") or len(body["message"]["to"]) > MAX_BURST:
        return {**reply, "status": "queued"}
    if name in REFUSALS:
        return {**reply, "status": name, "reject_reason": REFUSALS[name]}
    return {**reply, "status": "scheduled" if body.get("send_at") else "sent"}


def _outcome(reply: dict[str, Any]) -> str:
    reason = reply["reject_reason"]
    return f"{reply['status']}: {reason}" if reason else str(reply["status"])
