"""A route's params: read the JSON Schema, join the common params to it, and judge the whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson

from gateway.registry import paths
from gateway.registry.schema import ParamSchema, SchemaError, subschemas
from gateway.registry.schema.shape import types_of

SCHEMAS = Path(__file__).parents[1] / "schemas"
"""The schemas that come with the gateway: of manifests, of answers, of common params."""

META_SCHEMA = "https://json-schema.org/draft/2020-12/schema"

OMIT = "x-omit"
COMMON = "x-common"
JOINED = "x-joined"
"""Marks a schema that has its common params already, as a dump writes it."""


class ParamsError(Exception):
    """The params of a route cannot be used. `file` is where, if they have a file of their own."""

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
    except ValueError as error:
        # A name that no file can have.
        raise ParamsError([f"cannot be read: {error}"], file) from error
    if not isinstance(document, dict):
        raise ParamsError(["is not a JSON object"], file)
    return document


def join(own: dict[str, Any], common: Common, *, public: bool) -> dict[str, Any]:
    """The route's schema with the common params.

    A property of the same name changes a common one (`x-common: false` makes it the service's);
    `x-omit` leaves some out; a public route has no token.
    """
    if own.get(JOINED) is True:
        return own
    omitted = {*own.get(OMIT, ()), *(("token",) if public else ())}
    kept = {name: schema for name, schema in common.properties.items() if name not in omitted}
    properties = dict(own.get("properties", {}))
    for name, schema in kept.items():
        given = properties.get(name, {})
        properties[name] = {COMMON: True, **schema, **given} if isinstance(given, dict) else given
    required = [*own.get("required", ()), *(name for name in common.required if name in kept)]
    rest = {name: value for name, value in own.items() if name != OMIT}
    whole = {"type": "object", **rest, "properties": properties, "required": _once(required)}
    return {JOINED: True, **whole}


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def faults_of_form(own: dict[str, Any]) -> Iterator[str]:
    """What keeps a schema from being joined: it is none, or does not say well what it omits."""
    if not _is_surely_schema(own):
        try:
            jsonschema.Draft202012Validator.check_schema(own)
        except jsonschema.SchemaError as error:
            at = "/".join(str(part) for part in error.absolute_path)
            yield f"is not a JSON Schema: at /{at}: {error.message}"
    omitted = own.get(OMIT, [])
    if not (isinstance(omitted, list) and all(isinstance(name, str) for name in omitted)):
        yield f"{OMIT} is a list of names of common params"


@cache
def _meta_schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": META_SCHEMA}, validate_formats=True)


def _is_surely_schema(own: dict[str, Any]) -> bool:
    """What jsonschema would say too, in a hundredth of its time; where this is False it decides.

    It reads a pattern as Python does, which is more than Rust minds.
    """
    try:
        return _meta_schema().is_valid(own) and all(map(re.compile, _patterns(own)))
    except (ValueError, TypeError, RecursionError, re.error):
        return False


def _patterns(value: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON is any
    """Whatever may be a regular expression in a schema."""
    if isinstance(value, dict):
        yield from value.get("patternProperties") or ()
        if "pattern" in value:
            yield value["pattern"]
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from _patterns(child)


@dataclass(frozen=True, slots=True)
class JoinedSchema:
    """A schema with its common params, judged once for all the routes that share it.

    Of one that is `unusable` nothing more can be said.
    """

    text: str = ""
    unusable: list[str] = field(default_factory=list)
    not_an_object: bool = False
    names: frozenset[str] = frozenset()
    swallowing: list[str] = field(default_factory=list)
    omits_token: bool = False

    def diagnostics(self, segments: tuple[paths.Segment, ...], *, public: bool) -> Iterator[str]:
        """What is wrong with it as the params of a route with such a path."""
        yield from self.unusable
        if self.not_an_object:
            yield "params are an object: write `type: object`"
        if not self.unusable:
            yield from _lost_path_params(self.names, segments)
        yield from self.swallowing
        if self.omits_token and not public:
            yield "only a public route can leave out the token"


class SchemaCache:
    """The params of a manifest's routes: what many routes share is read and judged once."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._known: dict[tuple[Path | bytes, bool], JoinedSchema] = {}

    def of(self, given: Path | dict[str, Any], *, public: bool) -> JoinedSchema:
        """The whole schema of a file, or of params in the manifest itself. Raises ParamsError."""
        key = (given if isinstance(given, Path) else _bytes(given), public)
        if key not in self._known:
            own = read_file(given) if isinstance(given, Path) else given
            self._known[key] = _whole(own, self._common, public=public)
        return self._known[key]


def _bytes(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise ParamsError([f"is not JSON: {error}"]) from error


def _whole(own: dict[str, Any], common: Common, *, public: bool) -> JoinedSchema:
    messages = list(faults_of_form(own))
    if messages:
        return JoinedSchema(unusable=messages)
    joined = join(own, common, public=public)
    text = _bytes(joined).decode()
    omits_token = "token" in own.get(OMIT, ())
    try:
        ParamSchema(text).compile()
    except SchemaError as error:
        return JoinedSchema(unusable=[f"cannot be compiled: {error}"], omits_token=omits_token)
    return JoinedSchema(
        text=text,
        not_an_object=joined.get("type") != "object",
        names=frozenset(joined.get("properties", ())),
        swallowing=list(_swallowing_objects(joined)),
        omits_token=omits_token,
    )


def _lost_path_params(known: frozenset[str], segments: tuple[paths.Segment, ...]) -> Iterator[str]:
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
