"""Which changes break callers: those after which a call that was fine may be refused."""

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.manifest.change import Change, Record, same
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


def breaks(change: Change) -> list[str]:
    """What of a change breaks callers, in words; empty if nothing does."""
    before, after = change.before, change.after
    if before is None:
        return []
    if not before["deployed"]:
        # Nobody was served by it.
        return []
    if after is None:
        return ["is deleted"]
    return list(_service(before, after) if change.kind == "service" else _route(before, after))


def _service(before: Record, after: Record) -> Iterator[str]:
    if before["deployed"] and not after["deployed"]:
        yield "is no longer deployed"


def _route(before: Record, after: Record) -> Iterator[str]:
    yield from _service(before, after)
    for field in ("method", "path", "envelope", "sensitive_params"):
        if before[field] != after[field]:
            yield f"{field} was {before[field]} and is {after[field]}"
    yield from _auth(before, after)
    yield from _statuses(before["statuses"], after["statuses"])
    if after["max_body"] < before["max_body"]:
        yield f"max_body was {before['max_body']} and is {after['max_body']}"
    if after.get("idempotency") == "required" != before.get("idempotency"):
        yield "needs an Idempotency-Key"
    if _is_stricter(before.get("rate_limit"), after.get("rate_limit")):
        yield f"rate_limit is {after['rate_limit'][0]} calls in {after['rate_limit'][1]} s"
    yield from _schema("", orjson.loads(before["params"]), orjson.loads(after["params"]))


def _is_stricter(before: list[int] | None, after: list[int] | None) -> bool:
    """Whether fewer calls may come in some time: each of the limits allows as many as it says."""
    if before is None or after is None:
        return after is not None
    return after[0] < before[0] or after[0] * before[1] < before[0] * after[1]


def _auth(before: Record, after: Record) -> Iterator[str]:
    if not after["auth"]:
        return
    if not before["auth"]:
        yield "needs a token"
    for kind in before["auth"]:
        if kind not in after["auth"]:
            yield f"takes no token of a{'n' if kind == 'application' else ''} {kind} any more"
    if after["client_required"] and not before["client_required"]:
        yield "needs a user with a role"
    yield from _roles(before["roles"], after["roles"])


def _roles(
    before: dict[str, list[str]] | None, after: dict[str, list[str]] | None
) -> Iterator[str]:
    if after is None:
        return
    if before is None:
        yield "takes only some roles"
        return
    for slug, roles in before.items():
        gone = [role for role in roles if role not in after.get(slug, ())]
        if slug not in after:
            yield f"takes no calls in {slug} any more"
        elif gone:
            yield f"takes no {' or '.join(gone)} in {slug} any more"


def _statuses(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for slug, status in before.items():
        if slug not in after:
            yield f"status {slug} went away"
        elif after[slug]["http"] != status["http"]:
            yield f"status {slug} was {status['http']} and is {after[slug]['http']}"


def _schema(at: str, before: Any, after: Any) -> Iterator[str]:  # noqa: ANN401 - JSON is any
    """What was valid and is not any more, for one place of the params and all below it."""
    before, after = ({} if schema is True else schema for schema in (before, after))
    if before is False:
        return
    name = f"param {at}" if at else "params"
    if after is False:
        yield f"{name} is refused"
        return
    for required in after.get("required", ()):
        if required not in before.get("required", ()):
            yield f"param {_below(at, required)} became required"
    yield from _types(name, before, after)
    yield from _values(name, _named(before), _named(after))
    yield from _bounds(name, before, after)
    yield from _others(name, before, after)
    yield from _inside(at, before, after)
    yield from _unknown_ones(at, name, before, after)


def _types(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = set(types_of(before)), set(types_of(after))
    if "number" in new:
        new.add("integer")
    if new and (not old or old - new):
        yield f"{name} was {_or(old) or 'of any type'} and is {_or(new)}"


def _named(schema: dict[str, Any]) -> list[Any] | None:
    """The values that a schema names as the only ones."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _values(name: str, before: list[Any] | None, after: list[Any] | None) -> Iterator[str]:
    if after is None:
        return
    if before is None:
        yield f"{name} takes only some values"
        return
    gone = [value for value in before if not any(same(value, other) for other in after)]
    if gone:
        yield f"{name} does not take {', '.join(map(str, gone))} any more"


def _bounds(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for keys, sign in ((_LOWER_IS_STRICTER, 1), (_HIGHER_IS_STRICTER, -1)):
        for key in keys:
            old = before.get(key, 0 if key in _COUNTS else None)
            if key in after and (old is None or sign * after[key] < sign * old):
                yield f"{name}: {key} is {after[key]}"


def _others(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What cannot be judged in a word or two: it is told, and whoever reads it decides."""
    for key in _ANY_CHANGE_MAY_BREAK:
        if key in after and not same(before.get(key), after[key]):
            yield f"{name}: {key} is another"
    if after.get("uniqueItems") and not before.get("uniqueItems"):
        yield f"{name}: items must differ"


def _inside(at: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = before.get("properties", {}), after.get("properties", {})
    for name, schema in old.items():
        if name not in new:
            yield f"param {_below(at, name)} went away"
        else:
            yield from _schema(_below(at, name), schema, new[name])
    # What was not named was judged as an unknown one, if it was not dropped.
    unknown = before.get("additionalProperties")
    for name, schema in new.items():
        if name not in old and unknown is not None:
            yield from _schema(_below(at, name), unknown, schema)
    if "items" in after:
        yield from _schema(_below(at, "[]"), before.get("items", {}), after["items"])
    for key in _DEFINITIONS:
        for name in before.get(key, {}).keys() & after.get(key, {}).keys():
            place = _below(at, f"{key}.{name}")
            yield from _schema(place, before[key][name], after[key][name])


def _unknown_ones(
    at: str, name: str, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[str]:
    """Params that the schema does not name: refused, judged, or dropped where they were kept."""
    key = "additionalProperties"
    old, new = before.get(key), after.get(key)
    if old is False or same(old, new):
        return
    if new is False:
        yield f"{name}: unknown ones are refused"
    elif new is None and "properties" in after:
        yield f"{name}: unknown ones are dropped"
    elif isinstance(new, dict):
        yield from _schema(_below(at, "*"), {} if old is None else old, new)


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _or(types: set[str]) -> str:
    return " or ".join(sorted(types))
