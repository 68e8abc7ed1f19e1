"""What a verdict does not do: turn text into types, drop unknown params, make 12.0 into 12.

A shape is what all the schemas that speak of one value say together: of `$ref`, `allOf`, `anyOf`
and the like, each branch adds what it knows.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")


_MAY_CHANGE = frozenset((dict, list, float))
"""What JSON has that may have to be changed; all else is taken as it is."""

MAX_ITEMS = 1000
"""Items of a list that came as one text; as many as pairs in a form."""


@dataclass(slots=True)
class Shape:
    """The types a value may have, and the shapes of what is inside it.

    An `open` object keeps keys that are none of its `properties`: a free-form one, a map, whose
    values have the shape `rest`, and one whose schema refuses unknown keys itself. The first
    items of a list may have shapes of their own, `first`.
    """

    types: set[str] = field(default_factory=set)
    properties: dict[str, "Shape"] = field(default_factory=dict)
    rest: "Shape | None" = None
    first: list["Shape"] = field(default_factory=list)
    items: "Shape | None" = None
    open: bool = True

    def of_key(self, name: str) -> "Shape":
        """The shape of an object's value."""
        return self.properties.get(name) or self.rest or ANY

    def of_item(self, place: int) -> "Shape":
        """The shape of a list's item."""
        return self.first[place] if place < len(self.first) else self.items or ANY

    @property
    def is_whole(self) -> bool:
        """Whether a number here is a whole one."""
        return "integer" in self.types and "number" not in self.types

    @property
    def holds_something(self) -> bool:
        """Whether there may be something inside for `normalise` to change."""
        return not self.open or bool(self.properties or self.rest or self.first or self.items)


ANY = Shape()


def shape_of(document: dict[str, Any]) -> Shape:
    """The shape of a schema whose references are sound; a recursive schema has a recursive one."""
    known: dict[frozenset[int], Shape] = {}
    return _shape([document], document, known)


def _shape(
    schemas: Iterable[Any], document: dict[str, Any], known: dict[frozenset[int], Shape]
) -> Shape:
    """The shape of a value of which all these schemas speak.

    Sets of schemas are finite and each is made once, which is what ends a recursion.
    """
    speaking = _with_branches(schemas, document)
    key = frozenset(id(schema) for schema in speaking)
    if key in known:
        return known[key]
    shape = known[key] = Shape()

    def of(parts: list[Any]) -> Shape | None:
        return _shape(parts, document, known) if parts else None

    shape.types = {name for schema in speaking for name in types_of(schema)}
    shape.properties = {
        name: _shape(parts, document, known) for name, parts in _by_name(speaking).items()
    }
    shape.rest = of([part for schema in speaking for part in _of_other_keys(schema)])
    shape.items = of([schema["items"] for schema in speaking if "items" in schema])
    most = max((len(schema.get("prefixItems", ())) for schema in speaking), default=0)
    shape.first = [_shape(_at(speaking, place), document, known) for place in range(most)]
    shape.open = _is_open(speaking)
    if not (shape.properties or shape.rest or shape.items or shape.first):
        known[key] = _leaf(frozenset(shape.types), shape.open)
    return known[key]


@lru_cache(maxsize=256)
def _leaf(types: frozenset[str], is_open: bool) -> Shape:  # noqa: FBT001 - a key
    """Most shapes are of texts and numbers: equal ones are one object."""
    return Shape(types=set(types), open=is_open)


def _with_branches(schemas: Iterable[Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas with all they refer to and all their branches; true and false say nothing."""
    found: dict[int, dict[str, Any]] = {}
    waiting = list(schemas)
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, dict) and id(schema) not in found:
            found[id(schema)] = schema
            waiting += [branch for key in _BRANCHES for branch in schema.get(key, ())]
            waiting += [schema[key] for key in _CONDITIONS if key in schema]
            waiting += [target(schema["$ref"], document)] if "$ref" in schema else []
    return list(found.values())


def target(ref: str, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any
    """What a `$ref` inside the document names. Raises LookupError or ValueError if nothing."""
    found: Any = document
    for part in unquote(ref.removeprefix("#")).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def types_of(schema: dict[str, Any]) -> list[str]:
    """The types that a schema names itself."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _by_name(speaking: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for schema in speaking:
        for name, child in schema.get("properties", {}).items():
            found.setdefault(name, []).append(child)
    return found


def _of_other_keys(schema: dict[str, Any]) -> Iterator[Any]:
    yield from schema.get("patternProperties", {}).values()
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]


def _at(speaking: list[dict[str, Any]], place: int) -> list[Any]:
    lists = (schema.get("prefixItems", ()) for schema in speaking)
    return [items[place] for items in lists if place < len(items)]


def _is_open(speaking: list[dict[str, Any]]) -> bool:
    says_more = {"additionalProperties", "patternProperties"}
    if any(not says_more.isdisjoint(schema) for schema in speaking):
        return True
    return not any("properties" in schema or "object" in types_of(schema) for schema in speaking)


def from_text(value: Any, shape: Shape) -> Any:  # noqa: ANN401
    """A value that came as text, in the types of its shape.

    What cannot be turned stays as it is, and the verdict refuses it.
    """
    if isinstance(value, str):
        return _scalar(value, shape)
    if isinstance(value, dict) and "array" in shape.types and "object" not in shape.types:
        value = _numbered(value)
    if isinstance(value, list):
        return [from_text(item, shape.of_item(place)) for place, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: from_text(item, shape.of_key(name)) for name, item in value.items()}
    return value


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
        return _items(text, shape)
    return text


def _items(text: str, shape: Shape) -> Any:  # noqa: ANN401
    """A list that came as one text, at commas; one that is too long stays text."""
    parts = text.split(",", MAX_ITEMS) if text else []
    if len(parts) > MAX_ITEMS:
        return text
    return [from_text(item.strip(), shape.of_item(place)) for place, item in enumerate(parts)]


def _numbered(value: dict[str, Any]) -> Any:  # noqa: ANN401
    """`ids[0]=…&ids[1]=…`, as PHP writes a list, is a list."""
    if all(_INTEGER.fullmatch(key) for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def normalise(value: Any, shape: Shape, ignored: list[str]) -> Any:  # noqa: ANN401
    """A valid value without unknown params and with whole numbers as int.

    The names of what is dropped go to `ignored`, dotted. `value` is changed in place where it can
    be: it was made for this request.
    """
    if type(value) is float:
        return int(value) if shape.is_whole and value.is_integer() else value
    if not shape.holds_something:
        return value
    if type(value) is dict:
        return _normalise_object(value, shape, ignored)
    if type(value) is list:
        return [
            _normalise_below(item, shape.of_item(place), place, ignored)
            for place, item in enumerate(value)
        ]
    return value


def _normalise_object(value: dict[str, Any], shape: Shape, ignored: list[str]) -> dict[str, Any]:
    known = shape.properties
    if not (shape.open or known.keys() >= value.keys()):
        ignored += [name for name in value if name not in known]
        value = {name: item for name, item in value.items() if name in known}
    for name, item in value.items():
        if type(item) in _MAY_CHANGE:
            value[name] = _normalise_below(item, shape.of_key(name), name, ignored)
    return value


def _normalise_below(value: Any, shape: Shape, name: str | int, ignored: list[str]) -> Any:  # noqa: ANN401
    """What is inside under a name, which is written only before names that are dropped there."""
    inside: list[str] = []
    settled = normalise(value, shape, inside)
    ignored += [f"{name}.{each}" for each in inside] if inside else ()
    return settled
