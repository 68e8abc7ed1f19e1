"""The keywords of JSON Schema 2020-12: the value of each, and which of them hold other schemas."""

from collections.abc import Iterable
from typing import Any

from gateway.manifest.rules.wording import shown
from gateway.runtime.suggest import did_you_mean

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

NAMES = "a list of names, each once"
VALUES = "a list of values"
TEXT = "text"
FLAG = "true or false"
NUMBER = "a number"
COUNT = "a whole number, 0 or more"
SCHEMA = "a schema: an object, true or false"
SCHEMAS = "a list of schemas, and not empty"
NAMED_SCHEMAS = "an object of names and their schemas"

_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)

PLACES: dict[str, str] = {
    **dict.fromkeys((*_NAMED, *_LISTED), "many"),
    **dict.fromkeys(_SINGLE, "one"),
}
"""The keywords that hold schemas, and whether one or many."""

KEYWORDS: dict[str, str] = {
    **dict.fromkeys(_NAMED, NAMED_SCHEMAS),
    **dict.fromkeys(_LISTED, SCHEMAS),
    **dict.fromkeys(_SINGLE, SCHEMA),
    "type": f"one of {', '.join(TYPES)}, or a list of them, each once",
    **dict.fromkeys(("enum", "examples"), VALUES),
    "const": "any value",
    "default": "any value",
    "required": NAMES,
    "dependentRequired": "an object of names and lists of names",
    "pattern": "a regular expression",
    "multipleOf": "a number above 0",
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), NUMBER),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), COUNT),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), COUNT),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), FLAG),
    **dict.fromkeys(("title", "description", "format", "$comment"), TEXT),
    **dict.fromkeys(("$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor"), TEXT),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), TEXT),
    "$vocabulary": "an object of addresses and true or false",
}
"""Each keyword with what it may hold, in words."""

FORMATS = frozenset(
    (
        *("date", "time", "date-time", "duration", "email", "idn-email", "hostname"),
        *("idn-hostname", "ipv4", "ipv6", "uri", "uri-reference", "iri", "iri-reference"),
        *("uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex"),
    )
)
"""The formats that are checked; another one is documented only."""

_ELSEWHERE = {
    "nullable": "write `type` as a list with null",
    "example": "write `examples`, a list",
    "optional": "params are optional unless `required` of the object above names them",
    "<<": "merge keys (<<) are not read; write the keywords out",
}
"""Keywords of other schema languages, and what to write instead."""


def unknown(keyword: str) -> str:
    """The message for a keyword that JSON Schema does not have."""
    hint = _ELSEWHERE.get(keyword)
    hint = f"; {hint}" if hint else did_you_mean(keyword, KEYWORDS)
    return f"unknown keyword {keyword}{hint or '; params belong under `properties`'}"


def invalid(path: Iterable[Any], value: Any) -> str:  # noqa: ANN401 - JSON is any
    """The message for a value at a path of a schema that JSON Schema does not allow there."""
    keyword = _keyword_at(path)
    if keyword is None:
        return f"must be {SCHEMA}, not {shown(value)}"
    words = f"{keyword} must be {KEYWORDS.get(keyword, 'another value')}, not {shown(value)}"
    is_word = keyword == "type" and isinstance(value, str)
    return words + (did_you_mean(value, TYPES) if is_word else "")


def _keyword_at(path: Iterable[Any]) -> str | None:
    """The keyword that a path of a schema leads into; None if it leads to a schema."""
    keyword: str | None = None
    names_left = 0
    for key in path:
        if keyword is None:
            keyword, names_left = str(key), 1 if key in _NAMED or key in _LISTED else 0
        elif names_left:
            keyword, names_left = None, 0
        if keyword in _SINGLE:
            keyword = None
    return keyword
