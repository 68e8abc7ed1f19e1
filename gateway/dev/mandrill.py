"""A stand-in for Mandrill: it takes messages, shows them on a page, and fails when asked to.

It answers as https://mandrillapp.com/api/docs/messages.html says. How, the recipient's local part
decides (`FAILURES`, `REFUSALS`), up to a plus sign: `payment+1@example.com` has no credit.
"""

import asyncio
import contextlib
import html
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

API = "/api/1.0/"
TEMPLATES = frozenset({"order-stage-changed"})
KEPT = 200
SLOW = 30.0
"""Seconds until `slow@` is answered."""

MAX_BURST = 10
"""Recipients; a message to more of them is always queued."""

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
"""What happens to a whole message, by the local part of its first recipient."""

REFUSALS = {"rejected": "hard-bounce", "invalid": "invalid"}
"""The `reject_reason` of a recipient, by local part, which is the `status` too."""

_TEXTS = {"type": "array", "items": {"type": "string"}}
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
        "tags": _TEXTS,
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
    """A message as it came; `at` is ISO 8601 in UTC, `answer` how it was answered."""

    at: str
    template: str
    message: dict[str, Any]
    answer: str


class RefusalError(Exception):
    """A request is answered with one of Mandrill's errors, by name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Site(Starlette):
    """A site whose requests know uvicorn's object of their connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["cycle"] = getattr(send, "__self__", None)
        await super().__call__(scope, receive, send)


class StandIn:
    """The stand-in; `app` is the ASGI application, `received` what came, newest first."""

    def __init__(self, slow: float = SLOW) -> None:
        self._slow = slow
        self.received: deque[Received] = deque(maxlen=KEPT)
        self.app: Starlette = _Site(
            routes=[
                Route(API + "messages/send-template.json", self._send_template, methods=["POST"]),
                Route(API + "users/ping.json", self._ping, methods=["POST"]),
                Route("/", self._page),
                Route("/received.json", self._list),
                Route("/forget", self._forget, methods=["POST"]),
            ],
            exception_handlers={RefusalError: _refuse},
        )

    async def _ping(self, request: Request) -> Response:
        await _body(request)
        return JSONResponse("PONG!")

    async def _send_template(self, request: Request) -> Response:
        body = await _body(request)
        if fault := best_match(_SEND_TEMPLATE.iter_errors(body)):
            raise RefusalError("ValidationError", _wording(fault.absolute_path, fault.message))
        failure = _failure(body)
        replies = [_reply(to["email"], body) for to in body["message"]["to"]]
        answer = failure or ", ".join(_shown(reply) for reply in replies)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.received.appendleft(Received(now, body["template_name"], body["message"], answer))
        return await self._fail(failure, request) or JSONResponse(replies)

    async def _fail(self, failure: str, request: Request) -> Response | None:
        """Fail as asked for; None goes on to the answer."""
        if failure in CODES:
            raise RefusalError(failure, f"The stand-in was asked for {failure}.")
        match failure:
            case "HTTP 502":
                return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)
            case "HTTP 429":
                return PlainTextResponse("Too Many Requests", 429)
            case "answered late":
                await _gone(request, self._slow)
            case "closed without an answer":
                request.scope["cycle"].transport.abort()
                await _gone(request, self._slow)
        return None

    async def _page(self, _: Request) -> Response:
        entries = "".join(map(_entry, self.received)) or "<p>Nothing has come yet.</p>"
        # Messages come from anywhere: beside being escaped they may load and run nothing.
        policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
        return HTMLResponse(
            _PAGE.format(count=len(self.received), kept=KEPT, entries=entries),
            headers={"content-security-policy": policy},
        )

    async def _list(self, _: Request) -> Response:
        return JSONResponse([entry._asdict() for entry in self.received])

    async def _forget(self, _: Request) -> Response:
        self.received.clear()
        return RedirectResponse("/", 303)


async def _body(request: Request) -> dict[str, Any]:
    """The request's JSON, which has a key that is known. Raises RefusalError."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("key"), str) or not body["key"]:
        raise RefusalError("ValidationError", "You must specify a key value")
    if body["key"].startswith("invalid"):
        raise RefusalError("Invalid_Key", "Invalid API key")
    return body


async def _gone(request: Request, seconds: float) -> None:
    """Wait so long, or until the client has gone."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass


async def _refuse(_: Request, error: Exception) -> Response:
    name = error.name if isinstance(error, RefusalError) else "GeneralError"
    body = {"status": "error", "code": CODES[name], "name": name, "message": str(error)}
    return JSONResponse(body, 500)


def _wording(path: Sequence[str | int], message: str) -> str:
    """Mandrill's wording of a fault: where it is, as JSON."""
    told: Any = message
    for step in reversed(path):
        told = {str(step): told}
    return f"Validation error: {orjson.dumps(told).decode()}"


def _failure(body: dict[str, Any]) -> str:
    if body["template_name"] not in TEMPLATES:
        return "Unknown_Template"
    return FAILURES.get(_local_part(body["message"]["to"][0]["email"]), "")


def _local_part(email: str) -> str:
    return email.partition("@")[0].partition("+")[0]


def _reply(email: str, body: dict[str, Any]) -> dict[str, Any]:
    """What becomes of one recipient."""
    reply = {"email": email, "_id": uuid.uuid4().hex, "reject_reason": None, "queued_reason": None}
    word = _local_part(email)
    if body.get("async") or len(body["message"]["to"]) > MAX_BURST:
        return {**reply, "status": "queued"}
    if word in REFUSALS:
        return {**reply, "status": word, "reject_reason": REFUSALS[word]}
    return {**reply, "status": "scheduled" if body.get("send_at") else "sent"}


def _shown(reply: dict[str, Any]) -> str:
    reason = reply["reject_reason"]
    return f"{reply['status']}: {reason}" if reason else str(reply["status"])


def _entry(received: Received) -> str:
    recipients = ", ".join(to["email"] for to in received.message["to"])
    message = orjson.dumps(received.message, option=orjson.OPT_INDENT_2).decode()
    texts = (received.at, received.template, recipients, received.answer, message)
    return _ENTRY.format(*map(html.escape, texts))


_ENTRY = """\
<article><h2>{1} to {2}</h2>
<p>{0} · {3}</p>
<pre>{4}</pre></article>
"""
_PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Mail</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
h2 {{ font-size: 1.1rem; margin-bottom: 0 }}
p {{ margin: 0 }}
pre {{ background: #f4f4f4; padding: 1rem; overflow-x: auto }}
</style>
<h1>Mail</h1>
<p>{count} messages, newest first, at most {kept}. None of them was sent to anybody.</p>
<form method="post" action="/forget"><button>Forget them</button></form>
{entries}</html>
"""
