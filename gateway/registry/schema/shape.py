"""Converting params, which validation does not do: text to types, 12.0 to 12, unknown keys dropped.

A shape merges all the schemas that apply to one value: each branch of `$ref`, `allOf`, `anyOf` and
the like adds its types and properties.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote

from gateway.registry.schema.absent import absent_values, empty_is_absent, is_empty_text_absent

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_BRANCHES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")

_CONTAINERS = frozenset((dict, list))

_MAY_CHANGE = frozenset((dict, list, float))
"""Types of JSON values that `normalise` may have to change."""

MAX_ITEMS = 1000
"""Items of a list that came as one text; as many as a form may have pairs."""


@dataclass(slots=True)
class Shape:
    """The types a value may have, and the shapes of its properties and items.

    An `open` object keeps keys that are not in its `properties`: a free-form object; a map, whose
    values have the shape `additional`; a `closed` object, whose schema refuses them itself. As in
    JSON Schema, `prefix_items` are the shapes of a list's first items, `items` that of the others.
    A property whose value is in `absent`, or that came as empty text while `empty_text_is_absent`,
    is absent.
    """

    types: set[str] = field(default_factory=set)
    properties: dict[str, "Shape"] = field(default_factory=dict)
    additional: "Shape | None" = None
    prefix_items: list["Shape"] = field(default_factory=list)
    items: "Shape | None" = None
    open: bool = True
    closed: bool = False
    absent: tuple[object, ...] = ()
    empty_text_is_absent: bool = False

    def value_shape(self, name: str) -> "Shape":
        """The shape of an object's value under this key."""
        return self.properties.get(name) or self.additional or ANY

    def item_shape(self, index: int) -> "Shape":
        """The shape of a list's item at this index."""
        return self.prefix_items[index] if index < len(self.prefix_items) else self.items or ANY

    @property
    def is_integer(self) -> bool:
        """Whether a number of this shape is an integer."""
        return "integer" in self.types and "number" not in self.types

    @property
    def has_inner_shapes(self) -> bool:
        """Whether `normalise` may change something inside an object or a list."""
        return not self.open or bool(
            self.properties or self.additional or self.prefix_items or self.items
        )


ANY = Shape()


def shape_of(document: dict[str, Any]) -> Shape:
    """The shape of a schema whose references all resolve; a recursive schema has a recursive shape.

    Raises LookupError or ValueError for a `$ref` to nothing.
    """
    shapes: dict[frozenset[int], Shape] = {}
    return _shape([document], document, shapes)


def _shape(
    schemas: Iterable[Any], document: dict[str, Any], shapes: dict[frozenset[int], Shape]
) -> Shape:
    """The shape of a value to which all these schemas apply.

    `shapes` has one for each set of schemas; such sets are finite, so a recursion ends.
    """
    schemas = list(schemas)
    applied = _with_branches(schemas, document)
    key = frozenset(id(schema) for schema in applied)
    if key in shapes:
        return shapes[key]
    shape = shapes[key] = Shape()

    def merge(parts: list[Any]) -> Shape | None:
        return _shape(parts, document, shapes) if parts else None

    shape.types = {name for schema in applied for name in types_of(schema)}
    shape.properties = {
        name: _shape(parts, document, shapes) for name, parts in _properties(applied).items()
    }
    shape.additional = merge([part for schema in applied for part in _additional(schema)])
    shape.items = merge([schema["items"] for schema in applied if "items" in schema])
    length = max((len(schema.get("prefixItems", ())) for schema in applied), default=0)
    shape.prefix_items = [
        _shape(_prefix_items(applied, index), document, shapes) for index in range(length)
    ]
    shape.open = _is_open(applied)
    shape.closed = not shape.additional and any(
        schema.get("additionalProperties") is False for schema in applied
    )
    resolve = partial(resolve_ref, document=document)
    is_marked = any(map(empty_is_absent, applied))
    shape.absent = absent_values(schemas, resolve, empty=is_marked)
    shape.empty_text_is_absent = is_empty_text_absent(schemas, resolve)
    inner = shape.properties or shape.additional or shape.items or shape.prefix_items
    if not (inner or shape.closed):
        shapes[key] = _leaf(
            frozenset(shape.types), shape.open, shape.absent, shape.empty_text_is_absent
        )
    return shapes[key]


@lru_cache(maxsize=256)
def _leaf(
    types: frozenset[str],
    is_open: bool,  # noqa: FBT001 - a key
    absent: tuple[object, ...],
    empty_text_is_absent: bool,  # noqa: FBT001 - a key
) -> Shape:
    """Most shapes are of texts and numbers; equal ones share one object, to save memory."""
    return Shape(
        types=set(types),
        open=is_open,
        absent=absent,
        empty_text_is_absent=empty_text_is_absent,
    )


def _with_branches(schemas: Iterable[Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas, their branches and the targets of their references; booleans add nothing."""
    applied: dict[int, dict[str, Any]] = {}
    pending = list(schemas)
    while pending:
        schema = pending.pop()
        if isinstance(schema, dict) and id(schema) not in applied:
            applied[id(schema)] = schema
            pending += [branch for key in _BRANCHES for branch in schema.get(key, ())]
            pending += [schema[key] for key in _CONDITIONS if key in schema]
            pending += [resolve_ref(schema["$ref"], document)] if "$ref" in schema else []
    return list(applied.values())


def resolve_ref(ref: str, document: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any
    """The target of a `$ref` inside the document. Raises LookupError or ValueError if none."""
    target: Any = document
    for part in unquote(ref.removeprefix("#")).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        target = target[int(key)] if isinstance(target, list) else target[key]
    return target


def types_of(schema: dict[str, Any]) -> list[str]:
    """The types in a schema's own `type`."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _properties(schemas: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The schemas of each property, by its name."""
    by_name: dict[str, list[Any]] = {}
    for schema in schemas:
        for name, child in schema.get("properties", {}).items():
            by_name.setdefault(name, []).append(child)
    return by_name


def _additional(schema: dict[str, Any]) -> Iterator[Any]:
    yield from schema.get("patternProperties", {}).values()
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]


def _prefix_items(schemas: list[dict[str, Any]], index: int) -> list[Any]:
    lists = (schema.get("prefixItems", ()) for schema in schemas)
    return [items[index] for items in lists if index < len(items)]


def _is_open(schemas: list[dict[str, Any]]) -> bool:
    keywords = {"additionalProperties", "patternProperties"}
    if any(not keywords.isdisjoint(schema) for schema in schemas):
        return True
    return not any("properties" in schema or "object" in types_of(schema) for schema in schemas)


def from_text(value: Any, shape: Shape) -> Any:  # noqa: ANN401
    """A value that came as text, converted to the types of its shape.

    Text that cannot be converted stays text, and validation refuses it.
    """
    if isinstance(value, str):
        return _scalar_from_text(value, shape)
    if isinstance(value, dict) and "array" in shape.types and "object" not in shape.types:
        value = _list_of_numbered(value)
    if isinstance(value, list):
        return [from_text(item, shape.item_shape(index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            name: from_text(item, shape.value_shape(name))
            for name, item in value.items()
            if not is_absent_text(name, item, shape)
        }
    return value


def is_absent_text(name: str, value: object, shape: Shape) -> bool:
    """Whether a key of a query or form counts as absent: empty, although the param cannot be.

    An unknown key without a value may be a piece of misread text, such as base64 with its
    padding, and must not be named in the answer.
    """
    if name in shape.properties or (shape.open and not shape.closed):
        return value == "" and shape.value_shape(name).empty_text_is_absent
    return isinstance(value, str) and not value.strip("=")


def without_absent(value: Any, shape: Shape) -> Any:  # noqa: ANN401
    """A copy without the properties whose values mean that they are absent, at every level.

    Items of a list are kept, since removing one would renumber the others.
    """
    if not shape.has_inner_shapes:
        return value
    if type(value) is dict:
        return {
            name: without_absent(item, inner) if type(item) in _CONTAINERS else item
            for name, item in value.items()
            if item not in (inner := shape.value_shape(name)).absent
        }
    if type(value) is list:
        return [without_absent(item, shape.item_shape(index)) for index, item in enumerate(value)]
    return value


def _scalar_from_text(text: str, shape: Shape) -> Any:  # noqa: ANN401
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
        return _split_items(text, shape)
    return text


def _split_items(text: str, shape: Shape) -> Any:  # noqa: ANN401
    """A list from text with commas; more than `MAX_ITEMS` items stay text."""
    parts = text.split(",", MAX_ITEMS) if text else []
    if len(parts) > MAX_ITEMS:
        return text
    return [from_text(part.strip(), shape.item_shape(index)) for index, part in enumerate(parts)]


def _list_of_numbered(value: dict[str, Any]) -> Any:  # noqa: ANN401
    """The list that PHP writes as `ids[0]=…&ids[1]=…`; any other object stays as it is."""
    if all(_INTEGER.fullmatch(key) for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


def normalise(value: Any, shape: Shape, ignored: list[str]) -> Any:  # noqa: ANN401
    """A valid value without unknown params, and with 12.0 as 12 where an integer is due.

    Adds the dotted names of dropped params to `ignored`. May change `value` in place, since it
    belongs to this request.
    """
    if type(value) is float:
        return int(value) if shape.is_integer and value.is_integer() else value
    if not shape.has_inner_shapes:
        return value
    if type(value) is dict:
        return _normalise_object(value, shape, ignored)
    if type(value) is list:
        return [
            _normalise_child(item, shape.item_shape(index), index, ignored)
            for index, item in enumerate(value)
        ]
    return value


def _normalise_object(value: dict[str, Any], shape: Shape, ignored: list[str]) -> dict[str, Any]:
    properties = shape.properties
    if not (shape.open or properties.keys() >= value.keys()):
        ignored += [name for name in value if name not in properties]
        value = {name: item for name, item in value.items() if name in properties}
    for name, item in value.items():
        if type(item) in _MAY_CHANGE:
            value[name] = _normalise_child(item, shape.value_shape(name), name, ignored)
    return value


def _normalise_child(value: Any, shape: Shape, name: str | int, ignored: list[str]) -> Any:  # noqa: ANN401
    """A normalised property or item; its name is joined to dropped params only if there are any."""
    dropped: list[str] = []
    normalised = normalise(value, shape, dropped)
    ignored += [f"{name}.{path}" for path in dropped] if dropped else ()
    return normalised
