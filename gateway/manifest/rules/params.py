"""A route's params: read the JSON Schema, join the common params to it, check the result."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson

from gateway.manifest.rules import keywords, schema_lint
from gateway.manifest.source import files, json_text
from gateway.registry import paths
from gateway.registry.schema import ParamSchema, SchemaError, subschemas
from gateway.registry.schema.shape import types_of

SCHEMAS = Path(__file__).parents[2] / "schemas"
"""The gateway's own schemas: of manifests, answers and common params."""

META_SCHEMA = "https://json-schema.org/draft/2020-12/schema"

OMIT = "x-omit"
COMMON = "x-common"
JOINED = "x-joined"
"""Marks a schema that already has its common params, as a dump writes it."""


class ParamsError(Exception):
    """The params of a route are invalid. `file` holds them, if they have their own file."""

    def __init__(self, messages: list[str], file: Path | None = None) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.file = file


@dataclass(frozen=True, slots=True)
class Common:
    """The params that every route has, from `gateway/schemas/common.json`."""

    properties: dict[str, Any]
    required: tuple[str, ...]


def read_common(folder: Path) -> Common:
    """The common params of a manifest's schema folder, or the gateway's own if it has none.

    Raises ParamsError.
    """
    file = folder / "common.json"
    file = file if file.exists() else SCHEMAS / "common.json"
    document = read_file(file)
    messages = list(schema_errors(document))
    if messages:
        raise ParamsError(messages, file)
    return Common(
        properties=document.get("properties", {}),
        required=tuple(document.get("required", ())),
    )


def read_file(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ParamsError."""
    try:
        document = json_text.parse(files.read_bytes(file, files.MAX_SCHEMA))
    except (files.UnreadableError, json_text.JsonError) as error:
        raise ParamsError([str(error)], file) from error
    if not isinstance(document, dict):
        raise ParamsError(["must be a JSON object"], file)
    return document


def join(own: dict[str, Any], common: Common, *, public: bool) -> dict[str, Any]:
    """The route's schema with the common params.

    A property with the name of a common param changes it (`x-common: false` gives it to the
    service); `x-omit` lists common params to leave out; a public route has no token.
    """
    if own.get(JOINED) is True:
        return own
    omitted = {*own.get(OMIT, ()), *(("token",) if public else ())}
    kept = {name: schema for name, schema in common.properties.items() if name not in omitted}
    properties = dict(own.get("properties", {}))
    for name, schema in kept.items():
        own_property = properties.get(name, {})
        if isinstance(own_property, dict):
            properties[name] = {COMMON: True, **schema, **own_property}
    required = [*own.get("required", ()), *(name for name in common.required if name in kept)]
    keywords = {name: value for name, value in own.items() if name != OMIT}
    unique = list(dict.fromkeys(required))
    joined = {"type": "object", **keywords, "properties": properties, "required": unique}
    return {JOINED: True, **joined}


def schema_errors(own: dict[str, Any]) -> Iterator[str]:
    """Why a schema cannot be joined: it is not a valid JSON Schema, or its `x-omit` is invalid."""
    if not _is_certainly_valid(own):
        try:
            jsonschema.Draft202012Validator.check_schema(own)
        except jsonschema.SchemaError as error:
            location = "/".join(str(part) for part in error.absolute_path)
            message = keywords.invalid(error.absolute_path, error.instance)
            yield f"is not a valid JSON Schema: at /{location}: {message}"
    omitted = own.get(OMIT, [])
    if not (isinstance(omitted, list) and all(isinstance(name, str) for name in omitted)):
        yield f"{OMIT} must be a list of names of common params"


@cache
def _meta_schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": META_SCHEMA}, validate_formats=True)


def _is_certainly_valid(own: dict[str, Any]) -> bool:
    """Whether jsonschema would accept a schema, in a hundredth of its time; False if unsure.

    Patterns are also compiled by Python, which refuses some that Rust accepts.
    """
    try:
        return _meta_schema().is_valid(own) and all(map(re.compile, _patterns(own)))
    except (ValueError, TypeError, RecursionError, re.error):
        return False


def _patterns(value: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON is any
    """Every value that may be a regular expression in a schema."""
    if isinstance(value, dict):
        yield from value.get("patternProperties") or ()
        if "pattern" in value:
            yield value["pattern"]
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from _patterns(child)


@dataclass(frozen=True, slots=True)
class JoinedSchema:
    """A schema with its common params, checked once for all the routes that share it.

    `errors` are those that make further checks impossible; `untyped_objects` are the messages
    about objects whose content would be lost, `lint` those about other mistakes.
    """

    text: str = ""
    errors: list[str] = field(default_factory=list)
    not_an_object: bool = False
    names: frozenset[str] = frozenset()
    untyped_objects: list[str] = field(default_factory=list)
    lint: list[str] = field(default_factory=list)
    omits_token: bool = False

    def diagnostics(self, segments: tuple[paths.Segment, ...], *, public: bool) -> Iterator[str]:
        """The errors of this schema as the params of a route with these path segments."""
        yield from self.errors
        if self.not_an_object:
            yield "params must be an object; write `type: object`"
        if not self.errors:
            yield from _lost_path_params(self.names, segments)
        yield from self.untyped_objects
        yield from self.lint
        if self.omits_token and not public:
            yield f"only a public route may omit the token; remove `token` from `{OMIT}`"


class SchemaCache:
    """The params of a manifest's routes; params that routes share are read and checked once.

    Files are read below `folder` only.
    """

    def __init__(self, common: Common, folder: Path) -> None:
        self._common = common
        self._folder = os.path.realpath(folder)
        self._schemas: dict[tuple[Path | bytes, bool], JoinedSchema] = {}

    def get(self, params: Path | dict[str, Any], *, public: bool) -> JoinedSchema:
        """The joined schema of a params file, or of inline params. Raises ParamsError."""
        key = (params if isinstance(params, Path) else _as_json(params), public)
        if key not in self._schemas:
            own = self._read(params) if isinstance(params, Path) else params
            self._schemas[key] = _joined(own, self._common, public=public)
        return self._schemas[key]

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            files.refuse_outside(file, self._folder)
        except files.UnreadableError as error:
            raise ParamsError([str(error)], file) from error
        return read_file(file)


def _as_json(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise ParamsError([f"is not valid JSON: {error}"]) from error


def _joined(own: dict[str, Any], common: Common, *, public: bool) -> JoinedSchema:
    messages = list(schema_errors(own))
    if messages:
        return JoinedSchema(errors=messages)
    joined = join(own, common, public=public)
    text = _as_json(joined).decode()
    omits_token = "token" in own.get(OMIT, ())
    try:
        ParamSchema(text).compile()
    except SchemaError as error:
        return JoinedSchema(errors=[f"cannot be compiled: {error}"], omits_token=omits_token)
    return JoinedSchema(
        text=text,
        lint=[*_lint(own, joined)],
        not_an_object=joined.get("type") != "object",
        names=frozenset(joined.get("properties", ())),
        untyped_objects=list(_untyped_objects(joined)),
        omits_token=omits_token,
    )


def _lint(own: dict[str, Any], joined: dict[str, Any]) -> Iterator[str]:
    """The mistakes of a schema. One from a dump was checked before it was stored."""
    if own.get(JOINED) is True:
        return
    yield from schema_lint.errors(joined)
    token = joined["properties"].get("token")
    if isinstance(token, dict) and token.get(COMMON) is True and types_of(token) != ["string"]:
        yield "at /properties/token: the token must be of the type string"


def _lost_path_params(names: frozenset[str], segments: tuple[paths.Segment, ...]) -> Iterator[str]:
    for segment in segments:
        if segment.name and segment.name not in names:
            yield f"the path's {{{segment.name}}} would be dropped; add it to `properties`"


def _untyped_objects(document: dict[str, Any]) -> Iterator[str]:
    describing_content = {"properties", "additionalProperties", "patternProperties", "$ref"}
    describing_content |= {"allOf", "anyOf", "oneOf"}
    for schema in subschemas(document):
        if "object" in types_of(schema) and describing_content.isdisjoint(schema):
            yield (
                "an object without `properties` would lose its content; "
                "add `properties`, or `additionalProperties: true` for a free-form object"
            )
            return
