"""Shapes: the types and known params of a schema, whichever keywords it uses."""

from typing import Any

import pytest
from support.builders import judged, judged_text, params

from gateway.registry.schema.shape import normalise, shape_of

INTEGER = {"type": "integer"}
POINT = params(x=INTEGER, y=INTEGER)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#/$defs/point"}, id="ref"),
        pytest.param({"$ref": "#/$defs/same"}, id="ref-to-a-ref"),
        pytest.param({"$ref": "#/$defs/with~1slash"}, id="ref-with-an-escape"),
        pytest.param({"$ref": "#/$defs/list/prefixItems/0"}, id="ref-into-a-list"),
        pytest.param({"description": "A point.", "$ref": "#/$defs/point"}, id="ref-and-more"),
        pytest.param({"allOf": [{"$ref": "#/$defs/point"}]}, id="all-of"),
        pytest.param({"allOf": [params(x=INTEGER), params(y=INTEGER)]}, id="all-of-two"),
        pytest.param({**params(x=INTEGER), "allOf": [params(y=INTEGER)]}, id="all-of-one-more"),
        pytest.param({"anyOf": [params(x=INTEGER), params(y=INTEGER)]}, id="any-of"),
        pytest.param({"oneOf": [{**POINT, "required": ["x"]}, {"type": "null"}]}, id="one-of"),
        pytest.param(
            {"if": {"required": ["x"]}, "then": params(x=INTEGER), "else": params(y=INTEGER)},
            id="if-then-else",
        ),
        pytest.param({"type": ["object", "null"], "properties": POINT["properties"]}, id="or-null"),
    ],
)
def test_shape_is_the_same_for_all_ways_to_write_a_schema(schema: dict[str, Any]) -> None:
    defs = {
        "point": POINT,
        "same": {"$ref": "#/$defs/point"},
        "with/slash": POINT,
        "list": {"prefixItems": [POINT]},
    }
    document = {**params(at=schema), "$defs": defs}
    valid = judged(document, {"at": {"x": 1.0, "y": 2, "z": 3}})
    assert (valid.params, valid.ignored) == ({"at": {"x": 1, "y": 2}}, ("at.z",))
    assert type(valid.params["at"]["x"]) is int
    assert judged_text(document, {"at": {"x": "1", "y": "2"}}).params == {"at": {"x": 1, "y": 2}}


def test_shape_of_an_object_without_properties_drops_all_keys() -> None:
    valid = judged(params(at={"type": "object"}), {"at": {"x": 1}})
    assert (valid.params, valid.ignored) == ({"at": {}}, ("at.x",))


TREES = {
    "ref-to-the-root": params(n=INTEGER, left={"$ref": "#"}, right={"$ref": "#"}),
    "the-ref-first": params(left={"$ref": "#"}, right={"$ref": "#"}, n=INTEGER),
    "ref-and-more": params(
        left={"$ref": "#", "description": "Left."}, right={"allOf": [{"$ref": "#"}]}, n=INTEGER
    ),
    "ref-to-a-definition": {
        **params(n=INTEGER, left={"$ref": "#/$defs/node"}, right={"$ref": "#/$defs/node"}),
        "$defs": {
            "node": params(left={"$ref": "#/$defs/node"}, right={"$ref": "#/$defs/node"}, n=INTEGER)
        },
    },
    "two-that-name-each-other": {
        **params(n=INTEGER, left={"$ref": "#/$defs/a"}, right={"$ref": "#/$defs/b"}),
        "$defs": {
            "a": params(n=INTEGER, left={"$ref": "#/$defs/b"}, right={"$ref": "#/$defs/a"}),
            "b": params(left={"$ref": "#/$defs/b"}, right={"$ref": "#/$defs/a"}, n=INTEGER),
        },
    },
}


@pytest.mark.parametrize("schema", TREES.values(), ids=TREES)
class TestShapeOfARecursiveSchema:
    """A tree whose nodes have a number and two nodes."""

    def test_keeps_known_params_at_every_depth(self, schema: dict[str, Any]) -> None:
        tree = {"n": 1, "left": {"n": 2, "right": {"n": 3, "left": {"n": 4}}}, "right": {"n": 5}}
        assert judged(schema, tree).params == tree

    def test_drops_unknown_params_at_every_depth(self, schema: dict[str, Any]) -> None:
        valid = judged(schema, {"left": {"x": 1, "right": {"left": {"n": 1, "x": 1}}}})
        assert valid.params == {"left": {"right": {"left": {"n": 1}}}}
        assert set(valid.ignored) == {"left.x", "left.right.left.x"}

    def test_converts_text(self, schema: dict[str, Any]) -> None:
        converted = judged_text(schema, {"left": {"n": "1", "right": {"left": {"n": "2"}}}})
        assert converted.params == {"left": {"n": 1, "right": {"left": {"n": 2}}}}

    def test_makes_integers(self, schema: dict[str, Any]) -> None:
        deepest = judged(schema, {"left": {"right": {"left": {"n": 1.0}}}}).params
        assert type(deepest["left"]["right"]["left"]["n"]) is int


def test_shape_of_a_list_of_itself_holds_at_every_depth() -> None:
    node = params(children={"type": "array", "items": {"$ref": "#/$defs/node"}}, name={})
    document = {**params(tree={"$ref": "#/$defs/node"}), "$defs": {"node": node}}
    tree = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    assert judged(document, {"tree": tree}).params == {"tree": tree}


@pytest.mark.parametrize(
    "keyword",
    [{"additionalProperties": INTEGER}, {"patternProperties": {"^[a-z]$": INTEGER}}],
    ids=["additional", "pattern"],
)
class TestShapeOfAMap:
    """An object with any keys, whose values have a type."""

    def test_keeps_all_keys(self, keyword: dict[str, Any]) -> None:
        valid = judged(params(counts={"type": "object", **keyword}), {"counts": {"a": 1, "b": 2}})
        assert (valid.params, valid.ignored) == ({"counts": {"a": 1, "b": 2}}, ())

    def test_makes_integers(self, keyword: dict[str, Any]) -> None:
        valid = judged(params(counts={"type": "object", **keyword}), {"counts": {"a": 12.0}})
        assert type(valid.params["counts"]["a"]) is int

    def test_converts_text(self, keyword: dict[str, Any]) -> None:
        valid = judged_text(params(counts={"type": "object", **keyword}), {"counts": {"a": "12"}})
        assert valid.params == {"counts": {"a": 12}}


@pytest.mark.parametrize(
    "keyword",
    [
        {"additionalProperties": True},
        {"additionalProperties": {}},
        {"additionalProperties": {"description": "RecordingServer."}},
        {"patternProperties": {"^x": {}}},
        {"type": ["object", "null"], "additionalProperties": True},
        {"properties": {"a": {}}},
    ],
    ids=str,
)
def test_shape_of_a_free_form_object_keeps_all_keys(keyword: dict[str, Any]) -> None:
    values = {"free": {"a": {"b": [{"c": 12.0}]}}}
    valid = judged(params(free={"type": "object", **keyword}), values)
    assert (valid.params, valid.ignored) == (values, ())
    assert judged(params(free={}), values).params == values
    assert judged({"type": "object", **keyword}, {"a": values}).params == {"a": values}


def test_shape_of_a_map_drops_unknown_params_inside_its_values() -> None:
    schema = params(places={"type": "object", "additionalProperties": POINT})
    valid = judged(schema, {"places": {"home": {"x": 1, "z": 2}}})
    assert (valid.params, valid.ignored) == ({"places": {"home": {"x": 1}}}, ("places.home.z",))


def test_shape_of_a_list_may_have_types_for_its_first_items() -> None:
    schema = params(pair={"type": "array", "prefixItems": [INTEGER, POINT]})
    valid = judged(schema, {"pair": [12.0, {"x": 1, "z": 2}]})
    assert (valid.params, valid.ignored) == ({"pair": [12, {"x": 1}]}, ("pair.1.z",))
    assert type(valid.params["pair"][0]) is int


def test_shape_of_an_object_merges_the_params_of_its_branches() -> None:
    schema = {**params(at=params(x=INTEGER)), "allOf": [params(at=params(y=INTEGER))]}
    valid = judged(schema, {"at": {"x": 1, "y": 2, "z": 3}})
    assert (valid.params, valid.ignored) == ({"at": {"x": 1, "y": 2}}, ("at.z",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"a": "1", "b": {"c": "2", "d": "x"}}, {"a": 1, "b": {"c": 2, "d": "x"}}),
        ({"list": ["1", "2"]}, {"list": [1, 2]}),
        ({"list": "1, 2"}, {"list": [1, 2]}),
        ({"list": ""}, {}),
        ({"list": {"0": "1", "10": "3", "2": "2"}}, {"list": [1, 2, 3]}),
        ({"rows": [{"c": "1"}, {"c": "2"}]}, {"rows": [{"c": 1}, {"c": 2}]}),
        ({"rows": {"1": {"c": "2"}, "0": {"c": "1"}}}, {"rows": [{"c": 1}, {"c": 2}]}),
        ({"free": {"x": "1", "y": ["2"]}}, {"free": {"x": "1", "y": ["2"]}}),
        ({"either": "12"}, {"either": "12"}),
        ({"flag": ["true", "0"]}, {"flag": [True, False]}),
    ],
    ids=str,
)
def test_shape_converts_text_at_every_level(text: dict[str, Any], value: dict[str, Any]) -> None:
    inner = params(c=INTEGER, d={"type": "string"})
    schema = params(
        a=INTEGER,
        b=inner,
        list={"type": "array", "items": INTEGER},
        rows={"type": "array", "items": inner},
        free={"type": "object", "additionalProperties": True},
        either={"type": ["integer", "string"]},
        flag={"type": "array", "items": {"type": "boolean"}},
    )
    assert judged_text(schema, text).params == value


def test_shape_keeps_a_fraction_that_a_branch_accepts() -> None:
    shape = shape_of({"anyOf": [{}, {"type": "integer"}]})
    assert [normalise(value, shape, []) for value in (2.5, 2.0)] == [2.5, 2]
