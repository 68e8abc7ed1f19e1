"""The operations that callers ask for: the request of each, and the answers that it may get."""

import base64
import itertools
from collections.abc import Mapping
from typing import Any

import orjson
from harness import PATH as CREATE

from chaos.connection import HttpAnswer, request
from chaos.record import Operation
from gateway import statuses as slugs
from gateway.dev.demo import APPLICATION, PASSWORD

STATUSES = "/services/statuses"
SESSIONS = "/api/v1/sessions"

REFUSED = "refused"
"""The notes of calls that must not write a row."""

OK = frozenset((slugs.ACTION_SUCCESSFUL,))
LATE = frozenset((slugs.SERVICE_UNAVAILABLE, slugs.SERVICE_TIMEOUT))
VALID = OK | LATE
"""The answers to a call without a mistake: a fault must not look like a mistake of the caller."""

_SHOPLO_SLUGS = {(401, "202"): slugs.INVALID_TOKEN, (403, "202"): slugs.PERMISSION_DENIED}


class Operations:
    """Makes operations with running numbers.

    `tokens` are the demo's; `run` begins this run's texts.
    """

    def __init__(self, run: str, tokens: Mapping[str, str]) -> None:
        self._run = run
        self._tokens = tokens
        self._numbers = itertools.count(1)

    def stage(self, *, order: int, caller: str, is_keyed: bool, has_mail: bool) -> Operation:
        """Create a stage of an order, with or without a key and a mail to the client."""
        number, text = self._next()
        event = {"event_slug": "stage-changed"} if has_mail else {}
        params = {"order_id": order, "update_status": True, "stage": "scheduled", "notes": text}
        mail = {slugs.MANDRILL_EMAIL_FAILED} if has_mail else set()
        # Of two equal calls at the same moment, the second may be answered first.
        twin = {slugs.IDEMPOTENCY_CONFLICT} if is_keyed else set()
        return Operation(
            number=number,
            kind="create a stage" if is_keyed else "create without a key",
            route="order_stages.create",
            request=self._post(CREATE, {**params, **event}, caller, text if is_keyed else ""),
            allowed=VALID | mail | twin,
            final=OK if is_keyed else frozenset(),
            effect="stage",
            text=text,
            has_mail=has_mail,
        )

    def mismatch(self, done: Operation, caller: str) -> Operation:
        """Send other params with the key of a stage that was created."""
        params = {"order_id": 1, "update_status": True, "stage": "scheduled", "notes": REFUSED}
        allowed = LATE | {slugs.IDEMPOTENCY_MISMATCH}
        return self._plain(
            "refused", done.route, self._post(CREATE, params, caller, done.text), allowed
        )

    def status(self) -> Operation:
        """Create a status, with a key."""
        number, text = self._next()
        return Operation(
            number=number,
            kind="create a status",
            route="statuses.create",
            request=self._post(STATUSES, {"status": {"name": text}}, "application", text),
            allowed=VALID,
            allowed_again=frozenset((slugs.IDEMPOTENCY_CONFLICT,)),
            final=OK,
            effect="status",
            text=text,
        )

    def color(self, status: int) -> Operation:
        """Change the color of a status to one that no other call sets."""
        number, _ = self._next()
        color = f"{number:06x}"
        params = {"status": {"color": color}}
        return Operation(
            number=number,
            kind="update a status",
            route="statuses.update",
            request=self._send("PUT", f"{STATUSES}/{status}", params, "application"),
            allowed=VALID,
            final=OK,
            effect="color",
            text=color,
            row_id=status,
        )

    def no_status(self, status: int) -> Operation:
        """Delete a status; a repeat may find that it is gone."""
        gone = frozenset((slugs.INVALID_PARAM,))
        return Operation(
            number=self._next()[0],
            kind="delete a status",
            route="statuses.delete",
            request=self._send("DELETE", f"{STATUSES}/{status}", {}, "application"),
            allowed=VALID,
            allowed_again=gone,
            final=OK | gone,
            effect="no status",
            row_id=status,
        )

    def list_statuses(self) -> Operation:
        """List a page of the statuses."""
        return self._plain("list", "statuses.index", self._get(STATUSES), VALID)

    def log_in(self, email: str) -> Operation:
        """Log a user in."""
        params = {"email": email, "password": PASSWORD, "application": APPLICATION}
        return Operation(
            number=self._next()[0],
            kind="log in",
            route="sessions.create",
            request=request("POST", f"{SESSIONS}/create", base64.b64encode(orjson.dumps(params))),
            allowed=VALID | {slugs.RATE_LIMIT_EXCEEDED},
            effect="session",
        )

    def log_out(self, session: int, token: str) -> Operation:
        """End a session with its own token; a repeat may find that it has ended."""
        ended = frozenset((slugs.INVALID_TOKEN,))
        return Operation(
            number=self._next()[0],
            kind="log out",
            route="sessions.delete",
            request=request("DELETE", f"{SESSIONS}/delete", headers=_bearer(token)),
            allowed=VALID,
            allowed_again=ended,
            final=OK | ended,
            effect="no session",
            row_id=session,
        )

    def refused(self) -> list[Operation]:
        """Calls with a mistake, each with the refusal that it must get."""
        stage = {"order_id": 7, "update_status": True, "notes": REFUSED}
        calls = {
            slugs.MISSING_PARAM: self._post(CREATE, stage, "employee"),
            slugs.INVALID_PARAM: self._post(CREATE, {**stage, "stage": 7}, "application"),
            slugs.PERMISSION_DENIED: self._post(CREATE, {**stage, "stage": "s"}, "client"),
            slugs.CLIENT_REQUIRED: self._post(CREATE, {**stage, "stage": "s"}, "nobody"),
            slugs.SESSION_EXPIRED: self._post(CREATE, {**stage, "stage": "s"}, "expired"),
            slugs.INVALID_TOKEN: self._post(CREATE, {**stage, "stage": "s", "token": "t"}, ""),
        }
        operations = [
            self._plain("refused", "order_stages.create", call, LATE | {slug})
            for slug, call in calls.items()
        ]
        unknown = self._plain(
            "refused", "", request("GET", "/nowhere"), frozenset((slugs.ROUTE_NON_EXISTENT,))
        )
        return [*operations, unknown]

    def _plain(self, kind: str, route: str, call: bytes, allowed: frozenset[str]) -> Operation:
        return Operation(self._next()[0], kind, route, call, allowed)

    def _next(self) -> tuple[int, str]:
        number = next(self._numbers)
        return number, f"{self._run} {number}"

    def _get(self, path: str) -> bytes:
        return request("GET", path, headers=_bearer(self._tokens["employee"]))

    def _post(self, path: str, params: Mapping[str, Any], caller: str, key: str = "") -> bytes:
        return self._send("POST", path, params, caller, key)

    def _send(
        self, method: str, path: str, params: Mapping[str, Any], caller: str, key: str = ""
    ) -> bytes:
        headers = {"content-type": "application/json"}
        if caller:
            headers |= _bearer(self._tokens[caller])
        if key:
            headers["idempotency-key"] = key
        return request(method, path, orjson.dumps(params), headers)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def body_of(answer: HttpAnswer) -> dict[str, Any]:
    """The body of an answer, which is always a JSON object."""
    body = orjson.loads(answer.body)
    assert isinstance(body, dict), body
    return body


def slug_of(answer: HttpAnswer, body: Mapping[str, Any]) -> str:
    """The status of an answer in either envelope."""
    if "error" in body:
        return _SHOPLO_SLUGS.get((answer.code, body["error"]), str(body["error"]))
    is_shoplo_success = answer.code == 200 and "code" not in body
    return slugs.ACTION_SUCCESSFUL if is_shoplo_success else str(body["status"])


def row_of(body: Mapping[str, Any]) -> int:
    """The id of the row that a successful answer shows; 0 if it shows none."""
    data = body.get("data") or {}
    row = data.get("order_stage") or data.get("session") or body.get("status")
    return int(row["id"]) if isinstance(row, dict) else 0


def token_of(body: Mapping[str, Any]) -> str:
    """The token of the session that an answer shows; empty if it shows none."""
    session = (body.get("data") or {}).get("session") or {}
    return str(session.get("token", ""))
