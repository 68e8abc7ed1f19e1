"""The keys of `routes.yaml` for their page, from the manifest's JSON Schema."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import orjson

from gateway.manifest.rules.params import SCHEMAS
from gateway.pages.documentation.params import as_text, limits, type_name
from gateway.registry.schema.shape import resolve_ref


class Key(NamedTuple):
    """A key; `default` is empty for a required one, and `example` is YAML."""

    name: str
    type: str
    required: bool
    default: str
    example: str
    description: str


class Section(NamedTuple):
    """The keys of one level of the file."""

    title: str
    anchor: str
    rows: tuple[Key, ...]


@cache
def manifest_keys() -> tuple[Section, ...]:
    """The sections of the reference."""
    document = orjson.loads((SCHEMAS / "manifest.json").read_bytes())
    definitions = document["$defs"]
    levels = (
        ("A document", "document", document),
        ("An application", "application", definitions["application"]),
        ("A service", "service", definitions["service"]),
        ("A route", "route", definitions["route"]),
    )
    return tuple(
        Section(title, anchor, tuple(_keys(schema, document))) for title, anchor, schema in levels
    )


def _keys(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[Key]:
    for name, child in schema["properties"].items():
        target = resolve_ref(child["$ref"], document) if "$ref" in child else child
        resolved = {**target, **child}
        text, _, default = f" {resolved.get('description', '')}".partition(" Default: ")
        yield Key(
            name=name,
            type=_type(resolved),
            required=name in schema.get("required", ()),
            default=default.removesuffix("."),
            example=as_text(resolved["examples"][0]) if "examples" in resolved else "",
            description=text.strip(),
        )


def _type(schema: dict[str, Any]) -> str:
    """What may be written there."""
    if "x-allowed" in schema:
        return str(schema["x-allowed"])
    if "const" in schema:
        return as_text(schema["const"])
    if "enum" in schema:
        return ", ".join(map(as_text, schema["enum"]))
    return ", ".join([_TYPES.get(type_name(schema), type_name(schema)), *limits(schema)])


_TYPES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "object": "a mapping",
    "string": "text",
    "any": "any value",
}
