"""Compiling a route's schema: no other file, no slow regex, once for equal texts."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.builders import COMMON, faults, judged, judged_text, params

from gateway.registry.schema import ParamSchema, SchemaError, compile_schema, interned, subschemas

DEFS = {
    "whole": {"type": "integer", "$anchor": "whole"},
    "same": {"$ref": "#/$defs/whole"},
    "list": {"items": {"type": "integer"}},
    "a b": {"type": "integer"},
    "other": {"type": "string"},
}
MOVED = {
    "$id": "http://example.com/moved",
    "$ref": "#/$defs/other",
    "$defs": {"other": {"type": "integer"}},
}


@pytest.mark.parametrize(
    "reference",
    [
        "http://example.com/schema.json",
        "https://example.com/schema.json#/$defs/whole",
        "file:///etc/hostname",
        Path(__file__).parents[2].joinpath("schemas", "common.json").as_uri(),
        "urn:example:whole",
        "other.json",
        "other.json#/$defs/whole",
        "/schemas/common.json",
        "../common.json",
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
    ],
)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_schema_reference_outside_the_file_is_refused(reference: str, keyword: str) -> None:
    with pytest.raises(SchemaError):
        compile_schema(params(a={keyword: reference}))


def test_schema_with_an_id_may_not_refer_to_another_file() -> None:
    with pytest.raises(SchemaError):
        compile_schema({"$id": "http://example.com/a.json", **params(a={"$ref": "b.json"})})


@pytest.mark.parametrize("reference", ["#/$defs/none", "#none", "#/properties/b/items"])
def test_schema_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(SchemaError):
        compile_schema({**params(a={"$ref": reference}), "$defs": DEFS})


@pytest.mark.parametrize("reference", ["#/$defs/whole", "#/$defs/same", "#/$defs/list/items"])
def test_schema_reference_inside_the_file_is_followed(reference: str) -> None:
    assert_integer({**params(a={"$ref": reference}), "$defs": DEFS})


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#/$defs/a%20b"}, id="escaped"),
        pytest.param({"$ref": "#/$defs/a b"}, id="with-a-space"),
        pytest.param({"$ref": "#whole"}, id="anchor"),
        pytest.param({"$dynamicRef": "#/$defs/whole"}, id="dynamic"),
        pytest.param({"$dynamicRef": "#whole"}, id="dynamic-anchor"),
        pytest.param(MOVED, id="inside-another-address"),
    ],
)
def test_schema_unusual_reference_is_followed_or_refused_when_compiled(
    schema: dict[str, Any],
) -> None:
    document = {**params(a=schema), "$defs": DEFS}
    try:
        compile_schema(document)
    except SchemaError:
        return
    assert_integer(document)


def assert_integer(document: dict[str, Any]) -> None:
    """`a` is an integer for validation and for the conversion of values."""
    assert judged_text(document, {"a": "12"}).params == {"a": 12}
    assert type(judged(document, {"a": 12.0}).params["a"]) is int
    assert faults(document, {"a": 2**63})[0] == "invalid-param"


@pytest.mark.parametrize(
    "pattern",
    ["a(?=b)", "a(?!b)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P<n>a)(?P=n)", "(?>a)", "[", "a{2,1}"],
)
def test_schema_regex_without_linear_time_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError):
        compile_schema(params(a={"type": "string", "pattern": pattern}))


def test_schema_regex_that_backtracks_elsewhere_is_fast() -> None:
    schema = params(a={"type": "string", "pattern": "^(a+)+$"})
    assert faults(schema, {"a": "a" * 50_000 + "!"}) == (
        "invalid-param",
        ["a: must match the pattern ^(a+)+$"],
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "whole"},
        {"type": "string", "minLength": "1"},
        {"required": "a"},
        {"enum": "a"},
    ],
)
def test_schema_invalid_document_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        compile_schema(params(a=schema))


def test_schema_error_is_one_line() -> None:
    with pytest.raises(SchemaError) as caught:
        compile_schema(params(a={"type": "string", "pattern": "(?=a)"}))
    assert "\n" not in str(caught.value)


def test_schema_document_is_unchanged_by_compiling() -> None:
    document = params(a={"type": "integer", "minimum": 1})
    before = json.dumps(document)
    compile_schema(document)
    assert json.dumps(document) == before


def test_schema_formats_are_checked_and_unknown_formats_ignored() -> None:
    schema = params(a={"type": "string", "format": "uuid"}, b={"format": "olio-id"})
    assert judged(schema, {"b": "x"}).params == {"b": "x"}
    assert faults(schema, {"a": "x"}) == ("invalid-param", ["a: is not a valid UUID"])


def test_schema_of_equal_texts_is_one_object() -> None:
    one, other = json.dumps(params(a={})), json.dumps(params(b={}))
    assert interned(one) is interned(str(one))
    assert interned(one) is not interned(other)


def test_schema_common_params_are_the_marked_ones() -> None:
    own = {"a": {"type": "string"}, "b": True, "c": {"x-common": False}, **COMMON}
    assert ParamSchema(json.dumps(params(**own))).common == set(COMMON)


def test_schema_reference_to_the_token_compiles_although_the_token_is_not_required() -> None:
    schema = params(other={"$ref": "#/properties/token"}, **COMMON)
    assert judged(schema, {"token": "t", "other": "x"}).params == {"other": "x"}
    assert faults(schema, {"token": "t", "other": 1}) == ("invalid-param", ["other: must be text"])


def test_subschemas_are_found_under_every_keyword() -> None:
    marks = iter(range(100))

    def mark(**more: Any) -> dict[str, Any]:
        return {"title": str(next(marks)), **more}

    document = mark(
        properties={"a": mark(items=mark()), "b": True},
        patternProperties={"^x": mark()},
        additionalProperties=mark(),
        allOf=[mark(), mark(anyOf=[mark()])],
        oneOf=[mark(prefixItems=[mark()])],
        **{"not": mark(), "if": mark(), "then": mark(), "else": mark(), "$defs": {"d": mark()}},
        dependentSchemas={"a": mark(contains=mark())},
        propertyNames=mark(),
        unevaluatedItems=mark(),
        unevaluatedProperties=mark(),
        definitions={"e": mark()},
        examples=[{"title": "no schema"}],
    )
    titles = {schema["title"] for schema in subschemas(document)}
    assert titles == {str(number) for number in range(next(marks))}
