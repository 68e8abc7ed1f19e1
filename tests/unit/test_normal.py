"""The validator of normal values: it never accepts one that `normalise` would change."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.registry.schema import ParamSchema, normal
from gateway.registry.schema.shape import normalise, shape_of

NAMES = ["a", "b", "c"]
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", 1.0, 2.5, -0.0])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=12,
)
leaves = st.sampled_from(
    [
        *({}, {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "object"}),
        *({"type": ["integer", "null"]}, {"type": ["integer", "number"]}, {"type": "array"}),
        {"anyOf": [{"type": "integer"}, {"type": "object"}]},
    ]
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
            "additionalProperties": st.booleans() | inner,
            "patternProperties": st.fixed_dictionaries({"^b": inner}),
        },
    )


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {"items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2)}
    return st.fixed_dictionaries({"type": st.just("array")}, optional=optional)


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=2)
    return st.sampled_from(["allOf", "anyOf"]).flatmap(
        lambda key: st.fixed_dictionaries({key: several})
    )


schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(_objects(inner), _arrays(inner), _branches(inner)),
    max_leaves=8,
)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: 1 and 1.0 are not."""
    return repr(one) == repr(other)


@settings(max_examples=1500)
@given(schemas, values)
def test_normal_value_is_not_changed_by_normalise(document: dict[str, Any], value: Any) -> None:
    shape = shape_of(document)
    validator = normal.compile_validator(shape)
    ignored: list[str] = []
    normalised = normalise(copy.deepcopy(value), shape, ignored)
    changed = ignored or not _same(normalised, value)
    assert validator is not None
    assert not (changed and validator.is_valid(value))


@settings(max_examples=500)
@given(schemas, values)
def test_normal_validator_accepts_normalised_values(document: dict[str, Any], value: Any) -> None:
    """Otherwise it would be correct and useless.

    A fraction may be refused where one branch takes integers and another all numbers.
    """
    schema = ParamSchema(json.dumps(document))
    if schema.validator.is_valid(value) and "2.5" not in repr(value):
        normalised = normalise(value, schema.shape, [])
        assert schema.normal_validator
        assert schema.normal_validator.is_valid(normalised)


ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "note": {"type": "string"},
        "client": {"type": "object", "properties": {"code": {"type": "integer"}}},
    },
}


@pytest.mark.parametrize(
    ("value", "is_normal"),
    [
        ({"id": 1, "note": "a", "client": {"code": 2}}, True),
        ({}, True),
        ({"id": 1.0}, False),
        ({"client": {"code": 2.0}}, False),
        ({"other": 1}, False),
        ({"client": {"other": 1}}, False),
    ],
)
def test_normal_validator_of_an_ordinary_schema(value: dict[str, Any], *, is_normal: bool) -> None:
    validator = normal.compile_validator(shape_of(ORDER))
    assert validator
    assert validator.is_valid(value) is is_normal


def test_normal_validator_is_absent_for_a_recursive_schema_which_is_walked() -> None:
    document = {
        "type": "object",
        "properties": {"inner": {"$ref": "#"}, "n": {"type": "integer"}},
    }
    schema = ParamSchema(json.dumps(document))
    assert schema.normal_validator is None
    ignored: list[str] = []
    assert schema.normalise({"inner": {"n": 2.0, "x": 1}}, ignored) == {"inner": {"n": 2}}
    assert ignored == ["inner.x"]
