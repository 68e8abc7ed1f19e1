"""The JSON Schema of param schemas, for editors: the allowed keywords, and the gateway's own.

It is made from `keywords`, which says what each keyword may hold.
"""

from typing import Any

from gateway.manifest.rules import keywords
from gateway.manifest.rules.params import META_SCHEMA

_SHAPES: dict[str, Any] = {
    keywords.TEXT: {"type": "string"},
    keywords.FLAG: {"type": "boolean"},
    keywords.NUMBER: {"type": "number"},
    keywords.COUNT: {"type": "integer", "minimum": 0},
    keywords.VALUES: {"type": "array"},
    keywords.NAMES: {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
    keywords.SCHEMA: {"$ref": "#/$defs/schema"},
    keywords.SCHEMAS: {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/schema"}},
    keywords.NAMED_SCHEMAS: {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/schema"},
    },
}
"""The shape of each kind of value; keywords of another kind are in `_SPECIAL`."""

_SPECIAL: dict[str, Any] = {
    "type": {
        "oneOf": [
            {"enum": list(keywords.TYPES)},
            {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"enum": list(keywords.TYPES)},
            },
        ]
    },
    "const": {},
    "default": {},
    "pattern": {"type": "string", "format": "regex"},
    "multipleOf": {"type": "number", "exclusiveMinimum": 0},
    "dependentRequired": {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    },
    "$vocabulary": {"type": "object", "additionalProperties": {"type": "boolean"}},
}

_DESCRIPTIONS = {
    "type": "The type of the value, or a list of types.",
    "properties": "The params of the object, by name, each with its schema.",
    "required": "The names that must be present; all others are optional.",
    "additionalProperties": "The params that `properties` does not name: `true` keeps them, "
    "`false` refuses them; by default they are dropped.",
    "items": "The schema of each item of a list.",
    "enum": "The allowed values.",
    "const": "The only allowed value.",
    "default": "Not applied: the service does not get it. Say in `description` what it does.",
    "examples": "Examples of the value; each must fit this schema.",
    "description": "What the value means, in a sentence; text in back-ticks is code.",
    "format": "The format of the text.",
    "pattern": "A regular expression that must match some part of the text; "
    "`^` and `$` mean the ends of the text. Look-around is not allowed.",
    "anyOf": "At least one of these schemas must fit.",
    "oneOf": "Exactly one of these schemas must fit.",
    "allOf": "Each of these schemas must fit.",
    "$ref": "The address of another schema of the same file, such as `#/$defs/address`.",
    "$defs": "Schemas that `$ref` names.",
}

_OWN: dict[str, Any] = {
    "x-order": {
        "type": "integer",
        "minimum": 1,
        "x-allowed": "a whole number, 1 or more",
        "description": "The param's number in the documented order.",
        "examples": [1],
    },
    "x-type": {
        "type": "string",
        "description": "The type that the documentation shows.",
        "examples": ["hash"],
    },
    "x-sensitive": {
        "type": "boolean",
        "description": "If true, the value is a secret.",
        "examples": [True],
    },
    "x-message": {
        "type": "string",
        "minLength": 1,
        "description": "The message for values that this schema refuses, without the value.",
        "examples": ["must be a date as YYYY-MM-DD"],
    },
    "x-empty": {
        "const": "absent",
        "description": "With `absent`, an empty text means that the param is absent.",
        "examples": ["absent"],
    },
    "x-values": {
        "const": "applications",
        "description": "The allowed values are the slugs of the applications.",
        "examples": ["applications"],
    },
    "x-omit": {
        "type": "array",
        "items": {"type": "string"},
        "x-allowed": "a list of names of common params",
        "description": "The common params that the route does not have.",
        "examples": [["application"]],
    },
    "x-common": {
        "type": "boolean",
        "description": "If false, a param that replaces a common one goes to the service.",
        "examples": [False],
    },
}
"""The gateway's own keywords; any other keyword that begins with `x-` is allowed too."""


def params_schema() -> dict[str, Any]:
    """The schema of a file in `schemas/`; `x-allowed` says in words what a value may be."""
    schema = {
        "title": "Schema",
        "type": ["object", "boolean"],
        "x-allowed": keywords.SCHEMA,
        "properties": {**{name: _keyword(name) for name in keywords.KEYWORDS}, **_OWN},
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    return {
        "$schema": META_SCHEMA,
        "title": "Schema of params",
        "description": "A JSON Schema 2020-12 of the params or the answer of a route.",
        "type": "object",
        "$ref": "#/$defs/schema",
        "$defs": {"schema": schema},
    }


def _keyword(name: str) -> dict[str, Any]:
    """The schema of a keyword's value."""
    words = keywords.KEYWORDS[name]
    shape = _SPECIAL[name] if name in _SPECIAL else _SHAPES[words]
    described = {**shape, "description": _DESCRIPTIONS.get(name, f"{words.capitalize()}.")}
    if name == "format":
        described["examples"] = sorted(keywords.FORMATS)
    return described if "$ref" in shape or not shape else {**described, "x-allowed": words}
