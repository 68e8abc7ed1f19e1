"""Values that mean that a param is absent: null and empty text, where the schema takes neither."""

from typing import Any

import pytest
from support.builders import COMMON, faults, judged, judged_text, params

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
MARKED = {"type": "string", "x-empty": "absent"}


@pytest.mark.parametrize(
    "schema",
    [
        INTEGER,
        TEXT,
        params(),
        {"type": "array", "items": {}},
        {"type": ["integer", "string"]},
        {"enum": ["a", "b"]},
        {"type": ["string", "null"], "enum": ["a"]},
        {"const": "a"},
        {"anyOf": [INTEGER, TEXT]},
        {"allOf": [{"minimum": 1}, INTEGER]},
        {"$ref": "#/$defs/integer"},
        {"not": {"type": "null"}},
        {"if": {"type": "null"}, "then": False},
        False,
    ],
    ids=str,
)
def test_null_is_absent_where_the_schema_does_not_take_it(schema: Any) -> None:
    document = {**params(a=schema, b=INTEGER), "$defs": {"integer": INTEGER}}
    assert judged(document, {"a": None, "b": 1}).params == {"b": 1}
    assert judged(document, {"a": None}).ignored == ()
    required = {**document, "required": ["a"]}
    assert faults(required, {"a": None, "b": 1}) == ("missing-param", ["a: missing"])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "null"},
        {"type": ["integer", "null"]},
        {"enum": ["a", None]},
        {"anyOf": [INTEGER, {"type": "null"}]},
        {"oneOf": [INTEGER, {"type": "null"}]},
        {"minimum": 1},
        {"$ref": "#/$defs/nullable"},
        {"if": TEXT, "then": {"maxLength": 1}, "else": {"type": "null"}},
    ],
    ids=str,
)
def test_null_is_a_value_where_the_schema_takes_it(schema: Any) -> None:
    document = {**params(a=schema, b=INTEGER), "$defs": {"nullable": {"type": ["string", "null"]}}}
    assert judged(document, {"a": None}).params == {"a": None}
    # Another null, which is absent, changes nothing about it.
    assert judged(document, {"a": None, "b": None}).params == {"a": None}


def test_null_is_absent_at_every_level_but_in_a_list() -> None:
    schema = params(
        order=params(due=TEXT, notes=TEXT, client=params(id=INTEGER)),
        items={"type": "array", "items": params(sku=TEXT)},
        prices={"type": "object", "additionalProperties": INTEGER},
        free={"type": "object", "additionalProperties": True},
    )
    values = {
        "order": {"due": None, "notes": "n", "client": {"id": None}},
        "items": [{"sku": None}, {"sku": "A"}],
        "prices": {"a": None, "b": 2},
        "free": {"a": None},
    }
    assert judged(schema, values).params == {
        "order": {"notes": "n", "client": {}},
        "items": [{}, {"sku": "A"}],
        "prices": {"b": 2},
        "free": {"a": None},
    }
    ids = params(ids={"type": "array", "items": INTEGER})
    assert faults(ids, {"ids": [1, None]}) == ("invalid-param", ["ids.1: must be an integer"])
    nullable = params(ids={"type": "array", "items": {"type": ["integer", "null"]}}, a=TEXT)
    assert judged(nullable, {"ids": [1, None], "a": None}).params == {"ids": [1, None]}


def test_null_beside_the_other_of_two_required_params_is_absent() -> None:
    one_of = [{"required": ["a"]}, {"required": ["b"]}]
    schema = {**params(a=INTEGER, b=INTEGER), "oneOf": one_of}
    assert judged(schema, {"a": None, "b": 2}).params == {"b": 2}
    assert faults(schema, {"a": None}) == ("missing-param", ["a: missing", "b: missing"])


def test_null_of_a_nested_required_param_is_missing() -> None:
    schema = params(status={**params(name={**TEXT, "minLength": 1}), "required": ["name"]})
    values = {"status": {"name": None}}
    assert faults(schema, values) == ("missing-param", ["status.name: missing"])


def test_null_of_an_unknown_param_is_named_as_ignored() -> None:
    assert judged(params(a=TEXT), {"a": None, "b": None}).ignored == ("b",)
    closed = {**params(a=TEXT), "additionalProperties": False}
    assert faults(closed, {"a": None, "b": None}) == ("invalid-param", ["b: unrecognized"])


def test_null_of_a_common_param_is_absent() -> None:
    nulls = dict.fromkeys(COMMON)
    assert judged(params(**COMMON, a=TEXT), {**nulls, "a": "x"})[:] == ({"a": "x"}, (), None, None)


def test_null_in_a_recursive_schema_is_absent() -> None:
    schema = params(n=INTEGER, inner={"$ref": "#"})
    values = {"n": None, "inner": {"n": 1, "inner": {"n": None}}}
    assert judged(schema, values).params == {"inner": {"n": 1, "inner": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        *(INTEGER, {"type": "number"}, {"type": "boolean"}, params(), MARKED),
        {"type": "array", "items": TEXT},
        {**TEXT, "minLength": 1},
        {**TEXT, "pattern": "^[0-9]+$"},
        {**TEXT, "format": "date"},
        {"type": ["string", "integer"], "enum": ["0", "1", 0, 1]},
        {"anyOf": [INTEGER, {**TEXT, "minLength": 1}]},
    ],
    ids=str,
)
def test_empty_text_of_a_form_is_absent_where_the_schema_does_not_take_it(schema: Any) -> None:
    document = params(a=schema, inner=params(a=schema, b=INTEGER))
    text = {"a": "", "inner": {"a": "", "b": "1"}}
    assert judged_text(document, text).params == {"inner": {"b": 1}}
    required = {**document, "required": ["a"]}
    with pytest.raises(Exception, match="missing-param"):
        judged_text(required, {"a": ""})


@pytest.mark.parametrize(
    "schema",
    [TEXT, {}, {**TEXT, "enum": ["", "a"]}, {**TEXT, "pattern": "^[0-9]*$"}, {"const": ""}],
    ids=str,
)
def test_empty_text_of_a_form_is_a_value_where_the_schema_takes_it(schema: Any) -> None:
    assert judged_text(params(a=schema), {"a": ""}).params == {"a": ""}


def test_empty_text_of_a_form_stays_in_a_list() -> None:
    schema = params(names={"type": "array", "items": TEXT})
    assert judged_text(schema, {"names": ["", "a"]}).params == {"names": ["", "a"]}


def test_empty_text_of_json_is_absent_only_where_the_schema_says_so() -> None:
    schema = {
        **params(a=MARKED, b=TEXT, inner=params(a={"$ref": "#/$defs/marked"})),
        "$defs": {"marked": MARKED},
    }
    schema["properties"]["c"] = {**TEXT, "minLength": 1}
    values = {"a": "", "b": "", "inner": {"a": ""}}
    assert judged(schema, values).params == {"b": "", "inner": {}}
    assert judged(schema, {"a": "x"}).params == {"a": "x"}
    assert faults(schema, {"c": ""}) == ("invalid-param", ["c: empty"])
    required = {**schema, "required": ["a"]}
    assert faults(required, {"a": ""}) == ("missing-param", ["a: missing"])


@pytest.mark.parametrize("value", ["", "=", "=="])
def test_unknown_text_without_a_value_is_not_named(value: str) -> None:
    """It may be base64 with its padding, or a piece of other text, and not a name."""
    schema = params(a=TEXT, inner=params(a=TEXT))
    text = {"c2VjcmV0c2VjcmV0": value, "inner": {"c2VjcmV0c2VjcmV0": value}, "a": "x"}
    assert judged_text(schema, text)[:2] == ({"a": "x", "inner": {}}, ())
    assert judged_text(schema, {"b": "x"}).ignored == ("b",)
    closed = {**params(a=TEXT), "additionalProperties": False}
    assert judged_text(closed, {"c2VjcmV0c2VjcmV0": value, "a": "x"})[:2] == ({"a": "x"}, ())
    free = params(free={"type": "object", "additionalProperties": True})
    assert judged_text(free, {"free": {"b": value}}).params == {"free": {"b": value}}
