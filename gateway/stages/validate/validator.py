"""Validate: params against the route's JSON Schema; what is left is what the service sees."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from gateway import statuses
from gateway.identity import views
from gateway.registry.schema import ParamSchema
from gateway.registry.schema.shape import from_text
from gateway.registry.table import Match
from gateway.stages.validate import wording
from gateway.values import Error, Params, Rejection, Valid

LARGE = 10_000
_VIEWS = frozenset(views.PARAMS)


def validate(params: Params, match: Match) -> Valid:
    """The params in the schema's types, without unknown and without common ones.

    Raises Rejection: missing-param if any param is missing, else invalid-param; `errors` has all.
    """
    schema = match.route.params
    values = _own_values(params, schema)
    is_sound = schema.validator.is_valid(values) and not params.holds_nul
    # Views come last, and only few requests name one.
    if not is_sound or not _VIEWS.isdisjoint(values):
        _refuse_faults(values, params, schema)
    ignored: list[str] = []
    settled = schema.normalise(values, ignored)
    if schema.common.isdisjoint(settled):
        return Valid(settled, tuple(ignored), None, None)
    taken = {name: settled.pop(name, None) for name in schema.common}
    return Valid(settled, tuple(ignored), taken.get("session_view"), taken.get("application_view"))


def _refuse_faults(values: dict[str, Any], params: Params, schema: ParamSchema) -> None:
    """Name all that is wrong, if anything is. Raises Rejection."""
    errors = wording.bounded(_faults(values, params, schema))
    if not errors:
        return
    ignored: list[str] = []
    schema.normalise(values, ignored)
    missing = any(error["message"] == wording.MISSING for error in errors)
    slug = statuses.MISSING_PARAM if missing else statuses.INVALID_PARAM
    raise Rejection(slug, errors=errors, ignored=tuple(ignored))


def _own_values(params: Params, schema: ParamSchema) -> dict[str, Any]:
    """The params that are judged here, text turned into types; the token was judged before."""
    values = dict(params.values)
    if "token" in schema.common:
        values.pop("token", None)
    if params.from_text:
        properties = schema.shape.properties
        for name in params.from_text & values.keys() & properties.keys():
            values[name] = from_text(values[name], properties[name])
    return values


def _faults(values: dict[str, Any], params: Params, schema: ParamSchema) -> Iterator[Error]:
    if not schema.validator.is_valid(values):
        yield from wording.entries(_errors(values, schema))
    if params.holds_nul:
        yield from _nuls(values, ())
    yield from _unknown_views(values, schema)


def _errors(values: dict[str, Any], schema: ParamSchema) -> Iterable[jsonschema_rs.ValidationError]:
    """All errors; of very large params the first alone, since finding all takes seconds."""
    if not _is_large(values):
        return schema.validator.iter_errors(values)
    try:
        schema.validator.validate(values)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _is_large(values: dict[str, Any]) -> bool:
    """Whether there are more than `LARGE` values, counted no further than that."""
    count = 0
    level: list[Any] = [values]
    while level and count <= LARGE:
        inner = [child for item in level for child in _children(item)]
        count += len(inner)
        level = [child for child in inner if isinstance(child, dict | list)]
    return count > LARGE


def _children(value: Any) -> Iterable[Any]:  # noqa: ANN401 - an object or a list
    return value.values() if isinstance(value, dict) else value


def _nuls(value: object, at: tuple[str | int, ...]) -> Iterator[Error]:
    """PostgreSQL cannot hold a NUL in text."""
    if isinstance(value, str) and "\0" in value:
        yield Rejection.error(wording.dotted(at), "must not hold a NUL character")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _nuls(name, (*at, name.replace("\0", "")))
            yield from _nuls(item, (*at, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _nuls(item, (*at, place))


def _unknown_views(values: dict[str, Any], schema: ParamSchema) -> Iterator[Error]:
    for name, known in views.PARAMS.items():
        view = values.get(name)
        if name in schema.common and isinstance(view, str) and view not in known:
            yield Rejection.error(name, f"must be one of {', '.join(known)}")
