"""Messages of entries: short, for the caller, and never with a value in them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, faults, judged, params, refusal


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, "x", "must be an integer"),
        ({"type": "integer"}, 1.5, "must be an integer"),
        ({"type": "integer"}, 2**63, "must be an integer between -(2^63-1) and 2^63-1"),
        ({"type": "integer"}, -(2.0**63), "must be an integer between -(2^63-1) and 2^63-1"),
        ({"type": ["number", "integer"]}, "x", "must be a number"),
        ({"type": "number"}, "x", "must be a number"),
        ({"type": "string"}, 1, "must be text"),
        ({"type": "boolean"}, 1, "must be true or false"),
        ({"type": "array"}, 1, "must be a list"),
        ({"type": "object", "properties": {}}, 1, "must be an object"),
        ({"type": "null"}, 1, "must be null"),
        ({"type": ["string", "boolean"]}, 1, "must be true or false or text"),
        ({"enum": ["a", "b"]}, "x", "must be one of a, b"),
        ({"enum": [1, True, None]}, "x", "must be one of 1, true, null"),
        ({"enum": ["0", "1", 0, 1]}, "x", "must be one of 0, 1"),
        ({"type": ["string", "integer"], "enum": ["0", "1", 0, 1]}, True, "must be one of 0, 1"),
        ({"type": "string", "const": "yes", "maxLength": 1}, 5, "must be yes"),
        ({"enum": ["a"]}, "x", "must be a"),
        ({"const": "yes"}, "x", "must be yes"),
        ({"const": None}, "x", "must be null"),
        ({"minLength": 1}, "", "empty"),
        ({"minLength": 2}, "x", "must have at least 2 characters"),
        ({"maxLength": 2}, "xyz", "must have at most 2 characters"),
        ({"minimum": 2}, 1, "must be at least 2"),
        ({"maximum": 2}, 3, "must be at most 2"),
        ({"exclusiveMinimum": 2}, 2, "must be greater than 2"),
        ({"exclusiveMaximum": 2}, 2, "must be less than 2"),
        ({"multipleOf": 5}, 6, "must be a multiple of 5"),
        ({"minItems": 2}, [1], "must have at least 2 items"),
        ({"maxItems": 1}, [1, 2], "must have at most 1 item"),
        ({"minProperties": 2}, {"x": 1}, "must have at least 2 keys"),
        ({"maxProperties": 1}, {"x": 1, "y": 2}, "must have at most 1 key"),
        ({"uniqueItems": True}, [1, 1], "must not contain an item twice"),
        ({"pattern": "^a$"}, "x", "must match the pattern ^a$"),
        ({"format": "email"}, "x", "is not a valid e-mail address"),
        ({"format": "date"}, "x", "is not a valid date (YYYY-MM-DD)"),
        (
            {"format": "date-time"},
            "x",
            "is not a valid date and time (such as 2026-11-28T08:00:00Z)",
        ),
        ({"format": "json-pointer"}, "x", "is not a valid json-pointer"),
        ({"not": {}}, "x", "is invalid"),
        ({"contains": {"type": "integer"}}, ["x"], "is invalid"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
            "x",
            "must match one of the allowed forms",
        ),
        (
            {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
            1,
            "must match exactly one of the allowed forms, not several",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wording_of_each_keyword(schema: dict[str, Any], value: object, message: str) -> None:
    assert faults(params(a=schema), {"a": value}) == ("invalid-param", [f"a: {message}"])


def test_wording_of_a_property_whose_schema_is_false() -> None:
    assert faults(params(a=False), {"a": 1}) == ("invalid-param", ["a: is not allowed"])
    assert judged(params(a=False, b={}), {"b": 1}).params == {"b": 1}


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")], ids=["all-of-two", "two-of-three"])
def test_wording_of_several_matching_forms_names_nothing_missing(names: tuple[str, ...]) -> None:
    schema = {**params(), "oneOf": [{"required": [name]} for name in names]}
    slug, entries = faults(schema, {"a": 1, "b": 1})
    assert (slug, len(entries)) == ("invalid-param", 1)
    assert "missing" not in entries[0]
    assert "exactly one of the allowed forms" in entries[0]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^[0-9]{4}$"}, "x"),
        ({"type": "string", "pattern": "^[0-9]{4}$"}, 5),
        ({"anyOf": [{"type": "integer"}, {"pattern": "^[0-9]{4}$", "type": "string"}]}, "x"),
    ],
    ids=["pattern", "type", "choice"],
)
def test_wording_of_a_schema_with_a_message_is_that_message(
    schema: dict[str, Any], value: object
) -> None:
    year = {**schema, "x-message": "must be a year"}
    document = {
        **params(a=year, b={"$ref": "#/$defs/year"}, c={"type": "array", "items": year}),
        "$defs": {"year": year},
        "required": ["d"],
    }
    values = {"a": value, "b": value, "c": [value]}
    expected = ["d: missing", *(f"{attr}: must be a year" for attr in ("a", "b", "c.0"))]
    slug, entries = faults(document, values)
    assert (slug, sorted(entries)) == ("missing-param", sorted(expected))


@pytest.mark.parametrize(
    "name",
    ["plano_ses_x", "x" * 33, "zażółć", '{"a":1', "eyJhIjoiaHVudGVyMiJ9", "plano_app_\0x"],
    ids=ascii,
)
def test_wording_does_not_repeat_what_may_not_be_a_name(name: str) -> None:
    closed = params(inner={**params(), "additionalProperties": False})
    assert faults(closed, {"inner": {name: 1}}) == (
        "invalid-param",
        ["inner.…: unrecognized"],
    )
    of_integers = params(map={"type": "object", "additionalProperties": {"type": "integer"}})
    assert faults(of_integers, {"map": {name: "x", "size": "x"}})[1] == [
        *("map.…: must be an integer", "map.size: must be an integer"),
    ]
    _, entries = faults(of_integers, {"map": {f"{name}\0": 1}}, nul=True)
    assert entries == ["map.…: must not contain a NUL character"]


def test_wording_names_every_property_of_the_schema() -> None:
    schema = params(**{"zażółć": {"type": "integer"}, "x" * 40: {"type": "integer"}})
    _, entries = faults(schema, {"zażółć": "x", "x" * 40: "x"})
    assert entries == ["zażółć: must be an integer", f"{'x' * 40}: must be an integer"]


def test_wording_lists_an_error_found_twice_once() -> None:
    twice = {"allOf": [{"required": ["a"]}, {"required": ["a"]}], "required": ["a"], **params()}
    assert faults(twice, {}) == ("missing-param", ["a: missing"])


_KEYWORDS: dict[str, Any] = {
    "type": {"type": "integer"},
    "types": {"type": ["boolean", "null"]},
    "const": {"const": 5},
    "enum": {"enum": ["a", "b"]},
    "pattern": {"pattern": "^[0-9]$"},
    "email": {"type": "string", "format": "email"},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "short": {"maxLength": 1},
    "long": {"minLength": 1000},
    "not": {"not": {"type": "string"}},
    "any": {"anyOf": [{"type": "integer"}, {"required": ["x"], "type": "object"}]},
    "one": {"oneOf": [{"type": "integer"}, {"maxLength": 2}]},
    "both": {"oneOf": [{"type": "string"}, {"minLength": 1}]},
    "if": {"if": {"type": "string"}, "then": {"maxLength": 1}},
    "never": {"not": {}},
    "all": {"allOf": [{"type": "array"}, {"pattern": "^[0-9]$"}]},
    "ref": {"$ref": "#/$defs/whole"},
    "object": params(),
}
_INSIDE: dict[str, tuple[Any, Any]] = {
    "items": ({"items": {"type": "integer"}}, lambda secret: [1, secret]),
    "unique": ({"uniqueItems": True}, lambda secret: [secret, secret]),
    "contains": ({"contains": {"type": "integer"}}, lambda secret: [secret]),
    "few": ({"minItems": 2}, lambda secret: [secret]),
    "many": ({"maxItems": 1}, lambda secret: [secret, secret]),
    "prefix": ({"prefixItems": [{"type": "integer"}]}, lambda secret: [secret]),
    "closed": ({"additionalProperties": False}, lambda secret: {"x": secret}),
    "unevaluated": ({"unevaluatedProperties": False}, lambda secret: {"x": secret}),
    "map": ({"additionalProperties": {"type": "integer"}}, lambda secret: {"x": secret}),
    "fewer": ({"minProperties": 2}, lambda secret: {"x": secret}),
    "names": ({"propertyNames": {"maxLength": 2}}, lambda secret: {secret: 1}),
    "needs": ({"dependentRequired": {"x": ["y"]}}, lambda secret: {"x": secret}),
}
_no_nul = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_secrets = st.builds("hunter2 {}".format, st.text(_no_nul, max_size=12))


@examples
@given(_secrets)
def test_wording_never_quotes_a_value(secret: str) -> None:
    schema = {
        **params(**_KEYWORDS, **{name: inside for name, (inside, _) in _INSIDE.items()}),
        "$defs": {"whole": {"type": "integer"}},
    }
    values = {
        **dict.fromkeys(_KEYWORDS, secret),
        **{name: value_with(secret) for name, (_, value_with) in _INSIDE.items()},
    }
    rejection = refusal(lambda: judged(schema, values))
    named = {error["attr"].partition(".")[0] for error in rejection.errors}
    assert named == {*_KEYWORDS, *_INSIDE}
    assert "hunter2" not in f"{rejection}{rejection.message}{rejection.errors}"
