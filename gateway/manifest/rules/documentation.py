"""The documentation in a route's record: the schema of its answer, examples, days."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from gateway.manifest.rules import params, schema_lint
from gateway.manifest.rules.params import ParamsError
from gateway.manifest.source import files
from gateway.manifest.source.diagnostic import YamlPath
from gateway.registry.documentation import midnight
from gateway.registry.schema import ParamSchema, SchemaError, compile_schema, interned, subschemas

SUFFIX = ".returns.json"

_DAYS = ("deprecated", "sunset")
_COPIED = ("documented", *_DAYS)


@dataclass(frozen=True, slots=True)
class ReturnsSchema:
    """A schema of answers as JSON text, or why it is not one."""

    text: str = ""
    errors: tuple[str, ...] = ()


class ReturnsSchemas:
    """The schemas of answers below a schema folder; each is read and checked once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = os.path.realpath(folder.parent)
        found = folder.rglob(f"*{SUFFIX}") if folder.is_dir() else ()
        self._files = {str(file.relative_to(folder)): file for file in found}
        self._read: dict[Path, ReturnsSchema] = {}

    def source(self, entry: dict[str, Any], handler: str) -> Path | dict[str, Any] | None:
        """A route's `returns`: a schema, its file, or by default the action's file if it exists."""
        value = entry.get("returns")
        if isinstance(value, str):
            return self._folder.parent / value
        return value or self._files.get(handler.replace(".", "/") + SUFFIX)

    def get(self, source: Path | dict[str, Any]) -> ReturnsSchema:
        """The schema of a file, or one that is in the manifest itself."""
        if not isinstance(source, Path):
            return _checked(source)
        if source not in self._read:
            self._read[source] = self._from_file(source)
        return self._read[source]

    def _from_file(self, file: Path) -> ReturnsSchema:
        try:
            files.refuse_outside(file, self._root)
            schema = _checked(params.read_file(file))
        except files.UnreadableError as error:
            schema = ReturnsSchema(errors=(str(error),))
        except ParamsError as error:
            schema = ReturnsSchema(errors=tuple(error.messages))
        return ReturnsSchema(schema.text, tuple(f"{file}: {error}" for error in schema.errors))


def _checked(document: dict[str, Any]) -> ReturnsSchema:
    errors = tuple(params.schema_errors(document)) or tuple(schema_lint.errors(document))
    if errors:
        return ReturnsSchema(errors=errors)
    try:
        compile_schema(document)
    except SchemaError as error:
        return ReturnsSchema(errors=(f"cannot be compiled: {error}",))
    return ReturnsSchema(text=orjson.dumps(document).decode())


def documentation_fields(entry: dict[str, Any], returns: str) -> dict[str, Any]:
    """The fields of a stored record; those that the manifest leaves out are left out here too."""
    fields = {name: entry[name] for name in _COPIED if name in entry}
    if fields.get("documented"):
        del fields["documented"]
    if entry.get("examples"):
        fields["examples"] = orjson.dumps(entry["examples"]).decode()
    return {**fields, "returns": returns} if returns else fields


def diagnostics(entry: dict[str, Any], own: str, returns: str) -> Iterator[tuple[YamlPath, str]]:
    """The errors of a route's days and examples: path in the route, and message.

    `own` and `returns` are the texts of the route's valid schemas; `returns` may be empty.
    """
    yield from _days(entry)
    examples = entry.get("examples", {})
    if "params" in examples:
        yield from _misfits("params", interned(own), examples["params"])
    if "returns" in examples and returns:
        yield from _misfits("returns", interned(returns), examples["returns"])
    for key, text in (("params", own), ("returns", returns)):
        for message in _examples_in_schema(text):
            yield (key,), message


def _days(entry: dict[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    for name in _DAYS:
        try:
            midnight(entry.get(name, "2000-01-01"))
        except ValueError:
            yield (name,), f"{entry[name]} is not a day of the calendar"
    if "sunset" in entry and entry.get("deprecated", "9999-12-31") > entry["sunset"]:
        yield ("sunset",), "needs `deprecated`, with the same day or an earlier one"


def _misfits(key: str, schema: ParamSchema, example: Any) -> Iterator[tuple[YamlPath, str]]:  # noqa: ANN401
    """Why an example does not fit its schema."""
    for error in schema.validator.iter_errors(example):
        place = "/".join(map(str, error.instance_path))
        yield ("examples", key), f"the example does not fit `{key}`: at /{place}: {error.message}"


def _examples_in_schema(text: str) -> Iterator[str]:
    if '"examples"' not in text:
        return
    document = interned(text).document
    definitions: dict[str, Any] = {
        key: document[key] for key in ("$defs", "definitions") if key in document
    }
    for schema in subschemas(document):
        for example in schema.get("examples", ()):
            if _fits(example, {**definitions, **schema}):
                continue
            yield f"the example {orjson.dumps(example).decode()} does not fit its own schema"


def _fits(example: Any, schema: dict[str, Any]) -> bool:  # noqa: ANN401
    try:
        return compile_schema(schema).is_valid(example)
    except (SchemaError, jsonschema_rs.ReferencingError):
        # A reference to another part of the document; only the whole document can judge it.
        return True
