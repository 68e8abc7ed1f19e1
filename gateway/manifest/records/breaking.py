"""The changes that break callers: the gateway may refuse a call that it accepted before."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from gateway.manifest.records import breaking_returns
from gateway.manifest.records.change import Change, Kind, Record, same_json
from gateway.manifest.records.written import as_written, duration
from gateway.registry import paths
from gateway.registry.schema.shape import types_of

_LOWER_IS_STRICTER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_HIGHER_IS_STRICTER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_COUNTS = ("minLength", "minItems", "minProperties")
_ANY_CHANGE_MAY_BREAK = (
    *("pattern", "format", "multipleOf", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("$ref", "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas"),
    *("prefixItems", "contains", "minContains", "maxContains"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_DEFINITIONS = ("$defs", "definitions")


def breaking(changes: Iterable[Change]) -> list[tuple[Change, list[str]]]:
    """The changes that break callers, and how."""
    return [(change, phrases) for change in changes if (phrases := breakages(change))]


def as_object(breaking: Iterable[tuple[Change, list[str]]]) -> list[dict[str, Any]]:
    """The changes that break callers, as JSON."""
    return [
        {"kind": change.kind, "name": change.name, "breaks": phrases}
        for change, phrases in breaking
    ]


def breakages(change: Change) -> list[str]:
    """How a change breaks callers, one phrase each; empty if it does not."""
    before, after = change.before, change.after
    if before is None:
        return []
    if not before.get("deployed", True):
        # It had no callers.
        return []
    if after is None:
        return ["is deleted"]
    return list(_BY_KIND[change.kind](before, after))


def _application(before: Record, after: Record) -> Iterator[str]:
    removed = [role for role in before["roles"] if role not in after["roles"]]
    if removed:
        yield f"no longer lets in the role {' or '.join(removed)}"


def _service(before: Record, after: Record) -> Iterator[str]:
    if before["deployed"] and not after["deployed"]:
        yield "is no longer deployed"


def _route(before: Record, after: Record) -> Iterator[str]:
    yield from _service(before, after)
    for field in ("method", "path", "envelope", "sensitive_params"):
        if _requests(field, before) != _requests(field, after):
            yield f"{field} changes from {_text(before[field])} to {_text(after[field])}"
    yield from _auth(before, after)
    yield from _statuses(before["statuses"], after["statuses"])
    if after["max_body"] < before["max_body"]:
        old, new = (as_written("max_body", record["max_body"]) for record in (before, after))
        yield f"max_body drops from {old} to {new}"
    if after["max_values"] < before["max_values"]:
        yield f"max_values drops from {before['max_values']} to {after['max_values']}"
    if after.get("idempotency") == "required" != before.get("idempotency"):
        yield "requires an Idempotency-Key"
    if _is_stricter(before.get("rate_limit"), after.get("rate_limit")):
        yield f"rate_limit becomes {as_written('rate_limit', after['rate_limit'])}"
    if (allowed := _stale(after)) > _stale(before):
        yield f"answers may be {duration(allowed)} old"
    yield from _schema("", orjson.loads(before["params"]), orjson.loads(after["params"]))
    yield from _returns(before.get("returns"), after.get("returns"))


def _stale(record: Record) -> float:
    """How old an answer may be, in seconds."""
    return float(record["reads"]["stale"]) if "reads" in record else 0.0


def _returns(before: str | None, after: str | None) -> Iterator[str]:
    """How a change of what the action returns, as JSON, breaks callers."""
    if before is not None and after is None:
        yield "returns is removed"
    elif before is not None and after is not None:
        yield from breaking_returns.breakages(orjson.loads(before), orjson.loads(after))


def _requests(field: str, record: Record) -> Any:  # noqa: ANN401
    """The part of a field that callers depend on: a path without the names of its params."""
    return paths.shape(record["path"]) if field == "path" else record[field]


def _text(value: Any) -> str:  # noqa: ANN401
    """A value as the file has it: text without quotes, `true`, `null`."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _is_stricter(before: list[int] | None, after: list[int] | None) -> bool:
    """Whether a limit allows fewer calls at once, or fewer per second."""
    if before is None or after is None:
        return after is not None
    return after[0] < before[0] or after[0] * before[1] < before[0] * after[1]


def _auth(before: Record, after: Record) -> Iterator[str]:
    if not after["auth"]:
        return
    if not before["auth"]:
        yield "requires a token"
    for kind in before["auth"]:
        if kind not in after["auth"]:
            yield f"no longer accepts {kind} tokens"
    if after["client_required"] and not before["client_required"]:
        yield "requires a user with a role"
    yield from _roles(before["roles"], after["roles"])


def _roles(
    before: dict[str, list[str]] | None, after: dict[str, list[str]] | None
) -> Iterator[str]:
    if after is None:
        return
    if before is None:
        yield "accepts only some roles"
        return
    for slug, roles in before.items():
        removed = [role for role in roles if role not in after.get(slug, ())]
        if slug not in after:
            yield f"no longer accepts the application {slug}"
        elif removed:
            yield f"no longer accepts the role {' or '.join(removed)} in the application {slug}"


def _statuses(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for slug, status in before.items():
        if slug not in after:
            yield f"status {slug} is removed"
        elif after[slug]["http"] != status["http"]:
            yield f"status {slug} changes from HTTP {status['http']} to {after[slug]['http']}"


def _schema(path: str, before: Any, after: Any) -> Iterator[str]:  # noqa: ANN401 - JSON is any
    """Values that were valid and no longer are, at a dotted path of the params and below it."""
    before, after = ({} if schema is True else schema for schema in (before, after))
    if before is False:
        return
    name = f"param {path}" if path else "params"
    if after is False:
        yield f"{name} no longer accepts any value"
        return
    for required in after.get("required", ()):
        if required not in before.get("required", ()):
            yield f"param {_join(path, required)} becomes required"
    yield from _types(name, before, after)
    yield from _values(name, _listed_values(before), _listed_values(after))
    yield from _bounds(name, before, after)
    yield from _other_keywords(name, before, after)
    yield from _inner_schemas(path, before, after)
    yield from _unknown_params(path, name, before, after)


def _types(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = set(types_of(before)), set(types_of(after))
    if "number" in new:
        new.add("integer")
    if new and (not old or old - new):
        yield f"{name} changes from {_or(old) or 'any type'} to {_or(new)}"


def _listed_values(schema: dict[str, Any]) -> list[Any] | None:
    """The only values that a schema allows, None if it does not list them."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _values(name: str, before: list[Any] | None, after: list[Any] | None) -> Iterator[str]:
    if after is None:
        return
    if before is None:
        yield f"{name} accepts only some values"
        return
    removed = [value for value in before if not any(same_json(value, other) for other in after)]
    if removed:
        yield f"{name} no longer accepts {', '.join(map(_text, removed))}"


def _bounds(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for keys, sign in ((_LOWER_IS_STRICTER, 1), (_HIGHER_IS_STRICTER, -1)):
        for key in keys:
            old = before.get(key, 0 if key in _COUNTS else None)
            if key in after and (old is None or sign * after[key] < sign * old):
                yield f"{name}: {key} becomes {after[key]}"


def _other_keywords(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Keywords that cannot be compared: any change of them is reported."""
    for key in _ANY_CHANGE_MAY_BREAK:
        if key in after and not same_json(before.get(key), after[key]):
            yield f"{name}: {key} changes"
    if after.get("uniqueItems") and not before.get("uniqueItems"):
        yield f"{name}: items become unique"


def _inner_schemas(path: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = before.get("properties", {}), after.get("properties", {})
    for name, schema in old.items():
        if name not in new:
            yield f"param {_join(path, name)} is removed"
        else:
            yield from _schema(_join(path, name), schema, new[name])
    # A param without a property was validated as an unknown param, if it was not dropped.
    unknown = before.get("additionalProperties")
    for name, schema in new.items():
        if name not in old and unknown is not None:
            yield from _schema(_join(path, name), unknown, schema)
    if "items" in after:
        yield from _schema(_join(path, "[]"), before.get("items", {}), after["items"])
    for key in _DEFINITIONS:
        for name in before.get(key, {}).keys() & after.get(key, {}).keys():
            definition = _join(path, f"{key}.{name}")
            yield from _schema(definition, before[key][name], after[key][name])


def _unknown_params(
    path: str, name: str, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[str]:
    """Params that the schema does not name: refused, validated, or dropped where they were kept."""
    key = "additionalProperties"
    old, new = before.get(key), after.get(key)
    if old is False or same_json(old, new):
        return
    if new is False:
        yield f"{name}: unknown params are refused"
    elif new is None and "properties" in after:
        yield f"{name}: unknown params are dropped"
    elif isinstance(new, dict):
        yield from _schema(_join(path, "*"), {} if old is None else old, new)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_BY_KIND: Mapping[Kind, Callable[[Record, Record], Iterator[str]]] = {
    "application": _application,
    "service": _service,
    "route": _route,
}


def _or(types: set[str]) -> str:
    return " or ".join(sorted(types))
