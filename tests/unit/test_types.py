"""Types: JSON values are kept as they are, text is converted to the type in the schema."""

from typing import Any

import orjson
import pytest
from support.builders import faults, judged, judged_text, match, params, refusal, route

from gateway.stages.validate.validator import validate
from gateway.values import Params

INT_MAX = 2**63 - 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 12),
        ({"type": "integer"}, -INT_MAX),
        ({"type": "integer"}, INT_MAX),
        ({"type": "number"}, 1.5),
        ({"type": "number"}, 12),
        ({"type": "number"}, 1e300),
        ({"type": "string"}, ""),
        ({"type": "string"}, "12"),
        ({"type": "boolean"}, False),
        ({"type": "array"}, [1, "a", None]),
        ({"type": ["integer", "null"]}, None),
        ({"type": "object", "additionalProperties": True}, {"a": {"b": [1]}}),
        ({}, {"a": [1, None]}),
        (True, "anything"),
    ],
)
def test_types_of_json_values_that_match_are_kept(schema: Any, value: object) -> None:
    assert judged(params(a=schema), {"a": value}).params == {"a": value}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("integer", "12"),
        ("integer", 12.5),
        ("integer", True),
        ("integer", [12]),
        ("number", "1.5"),
        ("number", True),
        ("string", 12),
        ("string", True),
        ("boolean", "true"),
        ("boolean", 1),
        ("boolean", 0),
        ("array", "a,b"),
        ("array", {"0": "a"}),
        ("object", []),
        ("object", "{}"),
    ],
)
def test_types_of_json_values_are_not_converted(schema: str, value: object) -> None:
    slug, entries = faults(params(a={"type": schema}), {"a": value})
    assert (slug, len(entries), entries[0][:3]) == ("invalid-param", 1, "a: ")


@pytest.mark.parametrize(
    ("value", "integer"), [(12.0, 12), (-0.0, 0), (1e3, 1000), (9007199254740992.0, 2**53)]
)
def test_types_whole_number_becomes_an_integer(value: float, integer: int) -> None:
    nested = params(
        a={"type": "integer"},
        list={"type": "array", "items": {"type": "integer"}},
        deep=params(a={"type": "integer"}),
        free={"type": "array", "items": params(a={"type": ["integer", "null"]})},
    )
    sent = {"a": value, "list": [value], "deep": {"a": value}, "free": [{"a": value}]}
    valid = judged(nested, sent).params
    assert valid == {
        "a": integer,
        "list": [integer],
        "deep": {"a": integer},
        "free": [{"a": integer}],
    }
    numbers = [valid["a"], valid["list"][0], valid["deep"]["a"], valid["free"][0]["a"]]
    assert {type(number) for number in numbers} == {int}


@pytest.mark.parametrize("type_", ["number", ["integer", "number"]])
def test_types_number_that_may_have_a_fraction_stays_a_float(type_: object) -> None:
    assert type(judged(params(a={"type": type_}), {"a": 12.0}).params["a"]) is float


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "9223372036854775808.0",
        "-9223372036854775808.0",
        "1e19",
        "-1e300",
    ],
)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": ["integer", "null"]},
        {"type": "integer", "minimum": -(10**30), "maximum": 10**30},
        {"$ref": "#/$defs/whole"},
        {"allOf": [{"type": "integer"}]},
    ],
    ids=["type", "types", "wider-bounds", "ref", "all-of"],
)
def test_types_integer_outside_of_postgresql_s_range_is_invalid(schema: Any, text: str) -> None:
    document = {**params(a=schema), "$defs": {"whole": {"type": "integer"}}}
    slug, entries = faults(document, {"a": orjson.loads(text)})
    assert (slug, len(entries), entries[0][:3]) == ("invalid-param", 1, "a: ")


def test_types_integer_range_holds_under_the_older_definitions_too() -> None:
    document = {
        **params(a={"$ref": "#/definitions/whole"}),
        "definitions": {"whole": {"type": "integer"}},
    }
    assert faults(document, {"a": 2**63})[0] == "invalid-param"


def test_types_narrower_bounds_of_a_schema_are_kept() -> None:
    schema = params(a={"type": "integer", "minimum": 1, "maximum": 250})
    assert judged(schema, {"a": 250}).params == {"a": 250}
    assert faults(schema, {"a": 251}) == ("invalid-param", ["a: must be at most 250"])
    assert faults(schema, {"a": 0}) == ("invalid-param", ["a: must be at least 1"])


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("integer", "12", 12),
        ("integer", "-12", -12),
        ("integer", str(INT_MAX), INT_MAX),
        ("number", "1.5", 1.5),
        ("number", "-2", -2.0),
        ("number", "1e3", 1000.0),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("string", "12", "12"),
        ("string", "true", "true"),
        ("array", "a,b", ["a", "b"]),
        ("array", ["a", "b"], ["a", "b"]),
        ("array", {"1": "b", "0": "a"}, ["a", "b"]),
    ],
)
def test_types_of_text_are_converted_as_the_schema_says(
    type_: str, text: object, value: object
) -> None:
    converted = judged_text(params(a={"type": type_}), {"a": text}).params
    assert converted == {"a": value}
    assert type(converted["a"]) is type(value)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("integer", "x"),
        ("integer", "1.0"),
        ("integer", "1e3"),
        ("integer", "+1"),
        ("integer", " 1"),
        ("integer", "1\n"),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("integer", "\N{FULLWIDTH DIGIT ONE}"),
        ("integer", str(INT_MAX + 1)),
        ("integer", str(-INT_MAX - 1)),
        ("integer", "9" * 30),
        ("integer", "9" * 5000),
        ("number", "NaN"),
        ("number", "Infinity"),
        ("number", "1e999"),
        ("number", "-1e999"),
        ("number", "9" * 400),
        ("number", "1_0"),
        ("number", "٣"),
        ("number", "0x10"),
        ("boolean", "TRUE"),
        ("boolean", "yes"),
        ("boolean", "2"),
        ("object", "{}"),
        ("object", "x"),
        ("object", ["x"]),
        ("string", ["x"]),
        ("string", {"x": "y"}),
        ("array", {"x": "y"}),
    ],
    ids=lambda value: str(value)[:12],
)
def test_types_text_that_cannot_be_converted_is_invalid(type_: str, text: object) -> None:
    refused = refusal(lambda: judged_text(params(a={"type": type_}), {"a": text}))
    assert (refused.slug, [error["attr"] for error in refused.errors]) == ("invalid-param", ["a"])


@pytest.mark.parametrize("digits", [19, 20, 400])
def test_types_text_of_an_integer_out_of_range_is_called_that(digits: int) -> None:
    refused = refusal(lambda: judged_text(params(a={"type": "integer"}), {"a": "9" * digits}))
    assert refused.errors[0]["message"] == "must be an integer between -(2^63-1) and 2^63-1"


def test_types_of_text_and_json_may_be_mixed() -> None:
    matched = match(route(schema=params(text={"type": "integer"}, json={"type": "string"})))
    sent = Params({"text": "12", "json": "12"}, frozenset({"text"}), holds_nul=False)
    assert validate(sent, matched).params == {"text": 12, "json": "12"}
