"""The bodies of answers: schemas of the two envelopes, and examples of what the gateway writes."""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway import statuses
from gateway.manifest.rules.params import SCHEMAS
from gateway.pages.openapi.components import Components, Ref
from gateway.pages.openapi.schemas import clean
from gateway.registry import envelopes
from gateway.registry.records import Route
from gateway.registry.schema.shape import types_of
from gateway.registry.table import Match, Table
from gateway.stages import respond
from gateway.stages.respond import Trace
from gateway.statuses import Status
from gateway.values import Rejection, Request

_FILES = {"plano": "envelope.json", "shoplo": "shoplo_refusal.json"}
_REQUEST = Request("example-1", "GET", b"/", b"", {}, "", 0.0)
_NO_TABLE = Table(0)

_EXAMPLE_ERRORS = {
    statuses.MISSING_PARAM: [Rejection.error("stage", "missing")],
    statuses.INVALID_PARAM: [Rejection.error("order_id", "is not an integer")],
}


def success_schema(route: Route, data: Ref | None, components: Components) -> dict[str, Any]:
    """The schema of a success; `data` is that of what the service answers, None for any value."""
    if route.envelope != envelopes.DEFAULT:
        return {**(data or {})}
    name = f"{envelopes.DEFAULT}-{statuses.SUCCESS.http}"
    base = components.once("schemas", name, lambda: _plano([statuses.SUCCESS], components))
    if data is None:
        return {**base}
    required = route.returns and _never_null(route.returns.document)
    with_data = {"type": "object", "properties": {"data": data}}
    return {"allOf": [base, {**with_data, "required": ["data"]} if required else with_data]}


def _never_null(schema: dict[str, Any]) -> bool:
    types = types_of(schema)
    return bool(types) and "null" not in types


def refusal_schema(
    route: Route, listed: Sequence[Status], components: Components
) -> dict[str, Any]:
    """The schema of a refusal with one of these statuses, which have one HTTP code."""
    late = [status for status in listed if not is_of_the_edge(status)]
    if route.envelope == envelopes.DEFAULT or not late:
        return _plano(listed, components)
    own = _shoplo_refusal(route, late, components)
    early = [status for status in listed if _may_be_early(status)]
    if not early:
        return own
    # Each has a name, since generators of clients do not read an `allOf` inside an `anyOf`.
    code = listed[0].http
    branches = (
        (f"{route.envelope}-{code}-late", own),
        (f"{envelopes.DEFAULT}-{code}-early", _plano(early, components)),
    )
    return {"anyOf": [components.add("schemas", name, schema) for name, schema in branches]}


def is_of_the_edge(status: Status) -> bool:
    """Whether a status is only answered before the path is looked at: in the Plano envelope."""
    return status.stage == "edge"


def _may_be_early(status: Status) -> bool:
    """Whether a status may be answered before the route, and so its envelope, is known."""
    return status.stage in {"edge", "edge, match", "match", "any"}


def _plano(listed: Sequence[Status], components: Components) -> dict[str, Any]:
    """The schema of answers with one of these statuses in the Plano envelope."""
    slugs = [status.slug for status in listed]
    fields = {"code": _one_of(listed[0].http), "status": _one_of(*slugs)}
    return _narrowed("plano", fields, components)


def _shoplo_refusal(
    route: Route, listed: Sequence[Status], components: Components
) -> dict[str, Any]:
    # A refusal of the token has another code than one of the same status for another reason.
    codes = [
        _refusal(route, status, errors)["error"]
        for status in listed
        for errors in ((), (Rejection.error("token", "missing"),))
    ]
    fields = {"code": _one_of(listed[0].http), "error": _one_of(*dict.fromkeys(codes))}
    return _narrowed("shoplo", fields, components)


def _one_of(*values: str | int) -> dict[str, Any]:
    return {"type": "string" if isinstance(values[0], str) else "integer", "enum": list(values)}


def _narrowed(envelope: str, fields: dict[str, Any], components: Components) -> dict[str, Any]:
    """The schema of an envelope in which some fields have narrower schemas."""
    file = SCHEMAS / _FILES[envelope]
    base = components.once("schemas", file.stem, lambda: clean(orjson.loads(file.read_bytes())))
    return {"allOf": [base, {"type": "object", "properties": fields}]}


def example_refusal(route: Route, status: Status) -> Any:  # noqa: ANN401 - JSON is any
    """The body of a refusal of this route with this status."""
    return _refusal(route, status, _EXAMPLE_ERRORS.get(status.slug, ()))


def _refusal(route: Route, status: Status, errors: Sequence[Any]) -> Any:  # noqa: ANN401
    """The body that the gateway answers; one of the edge is not in the route's envelope."""
    match = None if is_of_the_edge(status) else Match(route, {}, _NO_TABLE)
    trace = Trace(match=match)
    return orjson.loads(
        respond.refusal(Rejection(status.slug, errors=errors), _REQUEST, trace).body
    )
