"""A route's params: read the JSON Schema, join the common params to it, and judge the whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import orjson

from gateway import paths
from gateway.schema import ParamSchema, SchemaError, subschemas
from gateway.schema.shape import types_of

SCHEMAS = Path(__file__).parents[2] / "schemas"
"""The schemas that come with the gateway: of manifests, of answers, of common params."""

OMIT = "x-omit"
COMMON = "x-common"


class ParamsError(Exception):
    """The params of a route cannot be used. `file` is where, if they have a file of their own."""

    def __init__(self, messages: list[str], file: Path | None = None) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.file = file


@dataclass(frozen=True, slots=True)
class Common:
    """The params that every route has, from `schemas/common.json`."""

    properties: dict[str, Any]
    required: tuple[str, ...]


def read_common(folder: Path) -> Common:
    """The common params of a manifest's schema folder, or the gateway's own if it has none.

    Raises ParamsError.
    """
    file = folder / "common.json"
    file = file if file.exists() else SCHEMAS / "common.json"
    document = read_file(file)
    messages = list(faults_of_form(document))
    if messages:
        raise ParamsError(messages, file)
    return Common(document.get("properties", {}), tuple(document.get("required", ())))


def read_file(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ParamsError."""
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise ParamsError([f"cannot be read: {error.strerror}"], file) from error
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParamsError([f"is not JSON: {error.msg} ({where})"], file) from error
    if not isinstance(document, dict):
        raise ParamsError(["is not a JSON object"], file)
    return document


def join(own: dict[str, Any], common: Common, *, public: bool) -> dict[str, Any]:
    """The route's schema with the common params.

    A property of the same name changes a common one (`x-common: false` makes it the service's);
    `x-omit` leaves some out; a public route has no token.
    """
    omitted = {*own.get(OMIT, ()), *(("token",) if public else ())}
    kept = {name: schema for name, schema in common.properties.items() if name not in omitted}
    properties = dict(own.get("properties", {}))
    for name, schema in kept.items():
        given = properties.get(name, {})
        properties[name] = {COMMON: True, **schema, **given} if isinstance(given, dict) else given
    required = [*own.get("required", ()), *(name for name in common.required if name in kept)]
    rest = {name: value for name, value in own.items() if name != OMIT}
    return {"type": "object", **rest, "properties": properties, "required": _once(required)}


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def faults_of_form(own: dict[str, Any]) -> Iterator[str]:
    """What keeps a schema from being joined: it is none, or does not say well what it omits."""
    try:
        jsonschema.Draft202012Validator.check_schema(own)
    except jsonschema.SchemaError as error:
        at = "/".join(str(part) for part in error.absolute_path)
        yield f"is not a JSON Schema: at /{at}: {error.message}"
    omitted = own.get(OMIT, [])
    if not (isinstance(omitted, list) and all(isinstance(name, str) for name in omitted)):
        yield f"{OMIT} is a list of names of common params"


def faults(document: dict[str, Any], segments: tuple[paths.Segment, ...]) -> Iterator[str]:
    """What is wrong with a joined schema."""
    try:
        ParamSchema(orjson.dumps(document).decode()).compile()
    except SchemaError as error:
        yield f"cannot be compiled: {error}"
        return
    if document["type"] != "object":
        yield "params are an object: write `type: object`"
    yield from _lost_path_params(document, segments)
    yield from _swallowing_objects(document)


def _lost_path_params(
    document: dict[str, Any], segments: tuple[paths.Segment, ...]
) -> Iterator[str]:
    known = document["properties"]
    for segment in segments:
        if segment.name and segment.name not in known:
            yield f"the path's {{{segment.name}}} is not among the properties and would be dropped"


def _swallowing_objects(document: dict[str, Any]) -> Iterator[str]:
    says_more = {"properties", "additionalProperties", "patternProperties", "$ref"}
    says_more |= {"allOf", "anyOf", "oneOf"}
    for schema in subschemas(document):
        if "object" in types_of(schema) and says_more.isdisjoint(schema):
            yield (
                "an object without `properties` would lose all that is in it: "
                "name them, or say `additionalProperties: true` for a free form"
            )
            return
