"""What a verdict does not do: turn text into types, drop unknown params, make 12.0 into 12.

A shape is a schema seen as a tree of types, with `$ref`, `allOf` and the like folded in.
"""

import re
from dataclasses import dataclass, field
from typing import Any

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(slots=True)
class Shape:
    """The types a value may have, and the shapes of what is inside it.

    `open` objects keep unknown keys: free-form ones, and those whose schema refuses them itself.
    `whole` and `inner` are the properties that `settle` must look at, found once.
    """

    types: set[str] = field(default_factory=set)
    properties: dict[str, "Shape"] = field(default_factory=dict)
    items: "Shape | None" = None
    open: bool = False
    whole: list[str] = field(default_factory=list)
    inner: list[tuple[str, "Shape"]] = field(default_factory=list)


def shape_of(document: dict[str, Any]) -> Shape:
    """The shape of a schema; a recursive schema makes a recursive shape."""
    known: dict[int, Shape] = {}
    shape = _shape(document, document, known)
    for each in known.values():
        each.whole = [name for name, child in each.properties.items() if _is_whole(child)]
        each.inner = [(name, child) for name, child in each.properties.items() if _has_inner(child)]
    return shape


def _shape(schema: Any, document: dict[str, Any], known: dict[int, Shape]) -> Shape:  # noqa: ANN401
    if not isinstance(schema, dict):
        return Shape(open=True)
    if id(schema) not in known:
        known[id(schema)] = Shape()
        _fill(known[id(schema)], schema, document, known)
    return known[id(schema)]


def _fill(
    shape: Shape, schema: dict[str, Any], document: dict[str, Any], known: dict[int, Shape]
) -> None:
    types = schema.get("type", [])
    shape.types |= {types} if isinstance(types, str) else set(types)
    for name, child in schema.get("properties", {}).items():
        shape.properties[name] = _shape(child, document, known)
    if "items" in schema:
        shape.items = _shape(schema["items"], document, known)
    for branch in _branches(schema, document):
        _absorb(shape, _shape(branch, document, known))
    speaks_of_objects = "object" in shape.types or bool(shape.properties)
    keeps_more = "additionalProperties" in schema or "patternProperties" in schema
    shape.open = shape.open or keeps_more or not speaks_of_objects


def _branches(schema: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    branches = [*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    branches += [schema[key] for key in ("if", "then", "else") if key in schema]
    if "$ref" in schema:
        branches.append(_target(schema["$ref"], document))
    return [branch for branch in branches if _describes(branch)]


def _describes(branch: Any) -> bool:  # noqa: ANN401
    """Whether a branch says what a value is made of, and not only what it must have."""
    keys = {"type", "properties", "items", "additionalProperties", "patternProperties", "$ref"}
    keys |= {"allOf", "anyOf", "oneOf"}
    return isinstance(branch, dict) and not keys.isdisjoint(branch)


def _target(ref: str, document: dict[str, Any]) -> Any:  # noqa: ANN401
    """What a `$ref` inside the document names; the compiler has refused all others."""
    found: Any = document
    for part in ref.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def _absorb(shape: Shape, branch: Shape) -> None:
    shape.types |= branch.types
    shape.properties = {**branch.properties, **shape.properties}
    shape.items = shape.items or branch.items
    shape.open = shape.open or (branch.open and "object" in branch.types)


def _is_whole(shape: Shape) -> bool:
    return "integer" in shape.types and "number" not in shape.types


def _has_inner(shape: Shape) -> bool:
    """An object that is not free-form, or an array whose items may hold something."""
    return bool(shape.properties) or shape.items is not None or not shape.open


def from_text(value: Any, shape: Shape) -> Any:  # noqa: ANN401
    """A value that came as text, in the types of its shape.

    What cannot be turned stays as it is, and the verdict refuses it.
    """
    if isinstance(value, str):
        return _scalar(value, shape)
    if isinstance(value, dict) and "array" in shape.types and "object" not in shape.types:
        value = _numbered(value)
    if isinstance(value, list):
        return [from_text(item, shape.items or Shape()) for item in value]
    if not isinstance(value, dict):
        return value
    properties = shape.properties
    return {name: from_text(item, properties.get(name) or Shape()) for name, item in value.items()}


def _scalar(text: str, shape: Shape) -> Any:  # noqa: ANN401
    types = shape.types
    if not types or "string" in types:
        return text
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if "array" in types:
        items = shape.items or Shape()
        return [from_text(item.strip(), items) for item in text.split(",")] if text else []
    return text


def _numbered(value: dict[str, Any]) -> Any:  # noqa: ANN401
    """`ids[0]=…&ids[1]=…`, as PHP writes a list, is a list."""
    if all(_INTEGER.fullmatch(key) for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def settle(value: Any, shape: Shape, at: str, ignored: list[str]) -> Any:  # noqa: ANN401
    """A valid value without unknown params and with whole numbers as int.

    The names of what is dropped go to `ignored`, dotted. `value` is changed in place where it can
    be: it was made for this request.
    """
    if isinstance(value, dict):
        return _settle_object(value, shape, at, ignored)
    if isinstance(value, list) and shape.items:
        return [
            settle(item, shape.items, f"{at}.{place}", ignored) for place, item in enumerate(value)
        ]
    if type(value) is float and _is_whole(shape):
        return int(value)
    return value


def _settle_object(
    value: dict[str, Any], shape: Shape, at: str, ignored: list[str]
) -> dict[str, Any]:
    if not (shape.open or value.keys() <= shape.properties.keys()):
        unknown = [name for name in value if name not in shape.properties]
        ignored += [f"{at}.{name}" if at else name for name in unknown]
        value = {name: item for name, item in value.items() if name in shape.properties}
    for name in shape.whole:
        if type(value.get(name)) is float:
            value[name] = int(value[name])
    for name, inner in shape.inner:
        if name in value:
            value[name] = settle(value[name], inner, f"{at}.{name}" if at else name, ignored)
    return value
