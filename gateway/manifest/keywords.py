"""The keywords of JSON Schema 2020-12: the value of each, and which of them hold other schemas."""

from collections.abc import Iterable
from typing import Any

from gateway.manifest.wording import shown
from gateway.runtime.suggest import did_you_mean

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

_TEXT = "text"
_FLAG = "true or false"
_NUMBER = "a number"
_COUNT = "a whole number, 0 or more"
_SCHEMA = "a schema: an object, true or false"
_SCHEMAS = "a list of schemas, and not empty"
_NAMED_SCHEMAS = "an object of names and their schemas"

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
    **dict.fromkeys(_NAMED, _NAMED_SCHEMAS),
    **dict.fromkeys(_LISTED, _SCHEMAS),
    **dict.fromkeys(_SINGLE, _SCHEMA),
    "type": f"one of {', '.join(TYPES)}, or a list of them, each once",
    "enum": "a list of values",
    "const": "any value",
    "default": "any value",
    "examples": "a list of values",
    "required": "a list of names, each once",
    "dependentRequired": "an object of names and lists of names",
    "pattern": "a regular expression",
    "multipleOf": "a number above 0",
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _COUNT),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _FLAG),
    **dict.fromkeys(("title", "description", "format", "$comment"), _TEXT),
    **dict.fromkeys(("$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor"), _TEXT),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), _TEXT),
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
        return f"must be {_SCHEMA}, not {shown(value)}"
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
