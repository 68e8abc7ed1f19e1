"""Validate: check params against the route's JSON Schema and normalise them for the service."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from gateway import statuses
from gateway.identity import views
from gateway.registry.schema import ParamSchema
from gateway.registry.schema.shape import from_text, is_absent_text, without_absent
from gateway.registry.table import Match
from gateway.stages.validate import wording
from gateway.values import Error, Params, Rejection, Valid

LARGE = 1000
"""Values in one request, above which only the first error is listed."""

_VIEWS = frozenset(views.PARAMS)


def validate(params: Params, match: Match) -> Valid:
    """The service's own params in the types of the schema; unknown params are dropped.

    Raises Rejection with an entry for each error: missing-param if a param is missing, otherwise
    invalid-param.
    """
    schema = match.route.params
    values = _typed_values(params, schema)
    is_valid = schema.validator.is_valid(values)
    if not is_valid:
        # Only now: most params are valid, and the schema accepts every null in those.
        values = without_absent(values, schema.shape)
        is_valid = schema.validator.is_valid(values)
    # Views are checked last, since few requests name one.
    if not is_valid or params.holds_nul or not _VIEWS.isdisjoint(values):
        _refuse_errors(values, params, schema)
    ignored: list[str] = []
    normal = schema.normalise(values, ignored)
    if schema.common.isdisjoint(normal):
        return Valid(normal, tuple(ignored), None, None)
    common = {name: normal.pop(name, None) for name in schema.common}
    return Valid(
        normal,
        tuple(ignored),
        session_view=common.get("session_view"),
        application_view=common.get("application_view"),
    )


def _refuse_errors(values: dict[str, Any], params: Params, schema: ParamSchema) -> None:
    """Raise Rejection if there are errors."""
    errors = wording.first(_entries(values, params, schema))
    if not errors:
        return
    ignored: list[str] = []
    schema.normalise(values, ignored)
    missing = any(error["message"] == wording.MISSING for error in errors)
    slug = statuses.MISSING_PARAM if missing else statuses.INVALID_PARAM
    raise Rejection(slug, errors=errors, ignored=tuple(ignored))


def _typed_values(params: Params, schema: ParamSchema) -> dict[str, Any]:
    """The params without the token, which authenticate has checked; text is turned into types."""
    values = dict(params.values)
    if "token" in schema.common:
        values.pop("token", None)
    if not params.from_text:
        return values
    shape = schema.shape
    for name in params.from_text & values.keys():
        if is_absent_text(name, values[name], shape):
            del values[name]
        elif name in shape.properties:
            values[name] = from_text(values[name], shape.properties[name])
    return values


def _entries(values: dict[str, Any], params: Params, schema: ParamSchema) -> Iterator[Error]:
    if not schema.validator.is_valid(values):
        yield from wording.entries(_errors(values, schema), schema)
    if params.holds_nul:
        yield from _nul_entries(values, (), schema)
    yield from _view_entries(values, schema)


def _errors(values: dict[str, Any], schema: ParamSchema) -> Iterable[jsonschema_rs.ValidationError]:
    """All errors; for more than `LARGE` values only the first, since finding all holds the loop."""
    if not _is_large(values):
        return schema.validator.iter_errors(values)
    try:
        schema.validator.validate(values)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _is_large(values: dict[str, Any]) -> bool:
    """Whether there are more than `LARGE` values; counts no further than needed."""
    count = 0
    level: list[Any] = [values]
    while level and count <= LARGE:
        inner = [child for item in level for child in _children(item)]
        count += len(inner)
        level = [child for child in inner if isinstance(child, dict | list)]
    return count > LARGE


def _children(value: Any) -> Iterable[Any]:  # noqa: ANN401 - an object or a list
    return value.values() if isinstance(value, dict) else value


def _nul_entries(
    value: object, path: tuple[str | int, ...], schema: ParamSchema
) -> Iterator[Error]:
    """Refused since PostgreSQL cannot store a NUL in text."""
    if isinstance(value, str) and "\0" in value:
        yield Rejection.error(wording.dotted(path, schema), "must not contain a NUL character")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _nul_entries(name, (*path, name.replace("\0", "")), schema)
            yield from _nul_entries(item, (*path, name), schema)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nul_entries(item, (*path, index), schema)


def _view_entries(values: dict[str, Any], schema: ParamSchema) -> Iterator[Error]:
    for name, options in views.PARAMS.items():
        view = values.get(name)
        if name in schema.common and isinstance(view, str) and view not in options:
            yield Rejection.error(name, wording.one_of(options))
