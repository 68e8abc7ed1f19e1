"""The parts of a document that its operations share, each under a name of its own."""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import orjson

from gateway.registry.schema import subschemas

Section = dict[str, Any]
Ref = dict[str, str]
Targets = dict[tuple[str, str], str]
"""The names of schemas that were definitions of another, by keyword and name in it."""

_DEFINITIONS = ("$defs", "definitions")
_SHARED = "#/components/"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class Components:
    """The `components` of a document; equal parts are there once."""

    def __init__(self) -> None:
        self._sections: dict[str, Section] = {}
        self._names: dict[tuple[str, bytes], str] = {}
        self._targets: dict[str, Targets] = {}

    def as_object(self) -> dict[str, Section]:
        """The sections, each with its parts in the order of their names."""
        sections = sorted(self._sections.items())
        return {name: dict(sorted(parts.items())) for name, parts in sections if parts}

    def add(self, section: str, name: str, part: dict[str, Any]) -> Ref:
        """A reference to a part; another part of the same name does not change this one's."""
        key = section, orjson.dumps(part)
        if key not in self._names:
            self._names[key] = self._free_name(section, name)
            self._sections[section][self._names[key]] = part
        return _ref(section, self._names[key])

    def once(self, section: str, name: str, make: Callable[[], dict[str, Any]]) -> Ref:
        """A reference to the one part of this name, which is made at its first use."""
        if name not in self._sections.setdefault(section, {}):
            self._sections[section][name] = make()
        return _ref(section, name)

    def add_schema(self, name: str, document: dict[str, Any]) -> Ref:
        """A reference to a schema.

        What it defines for itself becomes a schema beside it, and its references follow.
        """
        key = "schemas", orjson.dumps(document)
        if key not in self._names:
            self._names[key] = self._free_name("schemas", name)
            self._move_definitions(self._names[key], orjson.loads(key[1]))
        return _ref("schemas", self._names[key])

    def part_of(self, ref: Ref, part: dict[str, Any]) -> dict[str, Any]:
        """A copy of a part of the schema behind `ref`, as it is outside it."""
        name = ref["$ref"].removeprefix(f"{_SHARED}schemas/")
        copy: dict[str, Any] = orjson.loads(orjson.dumps(part))
        _move_references(copy, name, self._targets[name])
        return copy

    def inline_unshared(self, section: str, places: Iterable[tuple[Any, Any]]) -> None:
        """Move each part with one reference to the place of this reference.

        `places` has the place of every reference to a part of the section: a list or an object,
        and the index or key of the reference in it.
        """
        by_ref: dict[str, list[tuple[Any, Any]]] = {}
        for holder, key in places:
            by_ref.setdefault(holder[key]["$ref"], []).append((holder, key))
        parts = self._sections.get(section, {})
        for ref, found in by_ref.items():
            if len(found) == 1:
                [(holder, key)] = found
                holder[key] = parts.pop(ref.rpartition("/")[2])

    def _move_definitions(self, name: str, document: dict[str, Any]) -> None:
        targets = self._targets[name] = {}
        schemas = self._sections["schemas"]
        for keyword in _DEFINITIONS:
            for inner, schema in document.get(keyword, {}).items():
                target = self._free_name("schemas", f"{name}.{inner}")
                targets[keyword, inner] = target
                schemas[target] = schema
        _move_references(document, name, targets)
        schemas[name] = {key: value for key, value in document.items() if key not in _DEFINITIONS}

    def _free_name(self, section: str, name: str) -> str:
        """The name, with characters that OpenAPI allows, and a number if it is taken."""
        wanted = _NOT_IN_NAMES.sub("_", name)
        taken = self._sections.setdefault(section, {})
        number, free = 1, wanted
        while free in taken:
            number += 1
            free = f"{wanted}-{number}"
        taken[free] = {}
        return free


def _ref(section: str, name: str) -> Ref:
    return {"$ref": f"{_SHARED}{section}/{name}"}


def _move_references(schema: dict[str, Any], name: str, targets: Targets) -> None:
    """Change the references in a schema that was in the schema `name`."""
    for inner in subschemas(schema):
        if "$ref" in inner:
            inner["$ref"] = _moved(inner["$ref"], name, targets)


def _moved(ref: str, name: str, targets: Targets) -> str:
    """A reference inside a schema, as it is in the document that holds the schema as `name`."""
    if ref.startswith(_SHARED):
        return ref
    parts = ref.split("/")[1:]
    key = tuple(map(_decoded, parts[:2]))
    if len(key) == len(("keyword", "name")) and key in targets:
        name, parts = targets[key], parts[2:]
    return "/".join([f"{_SHARED}schemas/{name}", *parts])


def _decoded(part: str) -> str:
    """A part of a JSON pointer in a URL."""
    return unquote(part).replace("~1", "/").replace("~0", "~")
