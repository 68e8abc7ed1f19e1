"""The `curl` that `gateway dev` prints: a call of a route that the application has."""

import base64
import shlex
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlencode

import orjson

from gateway.manifest.check import Desired, RouteRecord
from gateway.registry.schema.samples import sample

_FAVOURITE = "order_stages.create"
_FAVOURITE_PARAMS = {"order_id": 7, "update_status": True, "stage": "scheduled"}
"""A call of Plano's own route with rows of the demo."""

_COMMON = {"token", "application", "application_view", "session_view"}
_QUERY_METHODS = {"GET", "DELETE"}
_ROLE = "employee"


def curl(
    url: str,
    desired: Iterable[Desired],
    actions: Collection[str],
    *,
    application: str | None,
    token: str | None,
) -> str | None:
    """A command that calls a served route, as several lines; None if there is no such route.

    `token` is that of an employee's session in `application`; without one, the route is public.
    """
    routes = [route for state in desired for route in _callable(state, actions, application, token)]
    names = {route.record["handler"]: route for route in reversed(routes)}
    route = names.get(_FAVOURITE) or next(iter(routes), None)
    return _command(url, route, token) if route else None


def _callable(
    state: Desired, actions: Collection[str], application: str | None, token: str | None
) -> Iterable[RouteRecord]:
    for route in state.routes.values():
        record = route.record
        service = state.services[record["handler"].partition(".")[0]]
        is_served = record["deployed"] and service["deployed"] and record["handler"] in actions
        if is_served and _may_call(record, application, token):
            yield route


def _may_call(record: dict[str, Any], application: str | None, token: str | None) -> bool:
    if not record["auth"]:
        return True
    roles = record["roles"]
    takes_role = roles is None or _ROLE in roles.get(application, ())
    return bool(token and takes_role and "session" in record["auth"])


def _command(url: str, route: RouteRecord, token: str | None) -> str:
    record = route.record
    schema = orjson.loads(route.params)
    values = sample(schema, _COMMON)
    if record["handler"] == _FAVOURITE and _FAVOURITE_PARAMS.keys() <= schema["properties"].keys():
        values = dict(_FAVOURITE_PARAMS)
    path = "/".join(_segment(part, values, schema) for part in record["path"].split("/"))
    lines = [*_headers(record, token)]
    if values and record["method"] in _QUERY_METHODS and not record["sensitive_params"]:
        path = f"{path}?{urlencode(values)}"
    elif values:
        lines += _body(record, values)
    method = "" if record["method"] == "GET" else f"-X {record['method']} "
    return " \\\n".join([f"curl -s {method}{shlex.quote(url + path)}", *lines])


def _headers(record: dict[str, Any], token: str | None) -> Iterable[str]:
    if record["auth"]:
        yield f"  -H 'Authorization: Bearer {token}'"
    if record["idempotency"] == "required":
        yield "  -H 'Idempotency-Key: first-call'"


def _body(record: dict[str, Any], values: dict[str, Any]) -> list[str]:
    body = orjson.dumps(values)
    if record["sensitive_params"]:
        return [f"  -d {shlex.quote(base64.b64encode(body).decode())}"]
    return ["  -H 'Content-Type: application/json'", f"  -d {shlex.quote(body.decode())}"]


def _segment(part: str, values: dict[str, Any], schema: dict[str, Any]) -> str:
    """A segment of a path, with the value of its param, which is removed from `values`."""
    if not part.startswith("{"):
        return part
    name, _, kind = part.strip("{}").partition(":")
    text = values.pop(name, None) or sample({**schema["properties"].get(name, {}), "format": kind})
    return "1" if kind == "int" else str(text)
