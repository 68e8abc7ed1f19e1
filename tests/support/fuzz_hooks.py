"""Hooks of Schemathesis: what a caller must know beside the document to get past the refusals.

`FUZZ_TOKEN` is the token of the caller, if it has one. The answers are counted in `FUZZ_COUNTS`, a
file of JSON: a list of operation, HTTP code, slug and number.
"""

import atexit
import base64
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import orjson
import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core import NotSet
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

AnyCase: TypeAlias = Case[Any]

JSON = "application/json"
APPLICATION = "planoorder"
"""The application of the demo's tokens: of another one they are refused."""

_USER = {"email": "liaison@example.com", "password": "demo-password", "application": APPLICATION}

_counts: Counter[tuple[str, int, str]] = Counter()


@schemathesis.hook
def before_load_schema(_: HookContext, raw_schema: dict[str, Any]) -> None:
    """Offer the JSON within base64 too, so that bodies are made from its schema."""
    for path in raw_schema["paths"].values():
        for operation in path.values():
            if operation.get("x-sensitive-params"):
                content = operation["requestBody"]["content"]
                content[JSON] = {"schema": content["text/plain"]["schema"]["contentSchema"]}


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, _kwargs: dict[str, Any]) -> None:
    """Send the caller's token, and what most calls need to reach the service."""
    operation = _operation(context)
    _send_token(operation, case)
    for params in (case.body, case.query):
        if isinstance(params, dict):
            # Beside a token in the header another one is refused.
            params.pop("token", None)
            if _is_positive(case):
                _name_what_exists(params)
    if _is_positive(case) and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = case.id  # a key that is used again is refused
    if operation.get("x-sensitive-params") and case.media_type == JSON:
        case.media_type = "text/plain"
        case.body = _base64(case.body)


@schemathesis.hook
def after_call(context: HookContext, _case: AnyCase, response: Response) -> None:
    """Count an answer."""
    if response.content and response.headers["content-type"] == [JSON]:
        answer = response.json()
        slug = answer["error"] if "error_msg" in answer else answer.get("status")
        name = slug if response.status_code >= 400 else "success"
        _counts[_operation(context)["operationId"], response.status_code, name] += 1


def _operation(context: HookContext) -> dict[str, Any]:
    assert context.operation
    raw: dict[str, Any] = context.operation.definition.raw
    return raw


def _is_positive(case: AnyCase) -> bool:
    return case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE


def _send_token(operation: dict[str, Any], case: AnyCase) -> None:
    """A public route gets none, since a new session replaces that of the token."""
    token = os.environ.get("FUZZ_TOKEN")
    if token and operation.get("security") != []:
        if operation["operationId"] == "sessions.delete":
            token = _new_session(str(case.operation.base_url))
        case.headers["Authorization"] = f"Bearer {token}"


def _base64(body: Any) -> Any:
    """A body in base64. Bytes are no JSON on purpose, and without a body there is nothing to do."""
    if isinstance(body, NotSet):
        return body
    # Not orjson: bodies that are wrong on purpose have larger integers than it writes.
    return base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


def _new_session(url: str) -> str:
    """The token of a session that a call may end."""
    body = base64.b64encode(orjson.dumps(_USER))
    answer = httpx2.post(f"{url.rstrip('/')}/api/v1/sessions/create", content=body)
    token: str = answer.json()["data"]["session"]["token"]
    return token


def _name_what_exists(params: dict[str, Any]) -> None:
    """The document cannot list the views of a service, nor which application a token has."""
    known = {"application": APPLICATION, "session_view": "default", "application_view": "default"}
    for name in params.keys() & known.keys():
        params[name] = known[name]


@atexit.register
def _write_counts() -> None:
    if path := os.environ.get("FUZZ_COUNTS"):
        Path(path).write_bytes(orjson.dumps([[*key, count] for key, count in _counts.items()]))
