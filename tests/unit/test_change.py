"""The differences of two states: record by record, and field by field into schemas."""

import json
from typing import Any

import pytest

from gateway.manifest.records.change import Change, Key, Record, compare, same_json


def route(params: Any = None, **fields: Any) -> Record:
    return {"title": "T", **fields, "params": json.dumps(params or {})}


def differences(before: Record, after: Record) -> dict[str, tuple[Any, Any]]:
    change = Change("route", "things.create", before, after)
    return {name: (old, new) for name, old, new in change.fields()}


def properties(**schemas: Any) -> dict[str, Any]:
    return {"properties": schemas}


FIELDS: list[tuple[str, Record, Record, dict[str, tuple[Any, Any]]]] = [
    ("nothing", route(), route(), {}),
    ("a field", route(title="A"), route(title="B"), {"title": ("A", "B")}),
    (
        "two fields",
        route(title="A", method="GET"),
        route(title="B", method="PUT"),
        {"title": ("A", "B"), "method": ("GET", "PUT")},
    ),
    (
        "a list as one value",
        route(auth=["a"]),
        route(auth=["a", "b"]),
        {"auth": (["a"], ["a", "b"])},
    ),
    ("null", route(roles=None), route(roles={"a": ["b"]}), {"roles": (None, {"a": ["b"]})}),
    (
        "one entry of an object",
        route(roles={"a": ["x"], "b": ["x"]}),
        route(roles={"a": ["y"], "b": ["x"]}),
        {"roles.a": (["x"], ["y"])},
    ),
    (
        "added and removed entries",
        route(statuses={"a": 1, "b": 2}),
        route(statuses={"b": 2, "c": 3}),
        {"statuses.a": (1, None), "statuses.c": (None, 3)},
    ),
    (
        "a keyword deep in a schema",
        route(properties(order=properties(due={"type": "string"}))),
        route(properties(order=properties(due={"type": "integer"}))),
        {"params.properties.order.properties.due.type": ("string", "integer")},
    ),
    (
        "an added param",
        route(properties(a={})),
        route(properties(a={}, b={"type": "string"})),
        {"params.properties.b": (None, {"type": "string"})},
    ),
    (
        "a schema that becomes another kind of JSON",
        route(properties(a={"x": 1})),
        route(properties(a=True)),
        {"params.properties.a": ({"x": 1}, True)},
    ),
    (
        "values that Python considers equal",
        route({"enum": [1], "const": 1, "default": 0}),
        route({"enum": [True], "const": 1.5, "default": False}),
        {
            "params.enum": ([1], [True]),
            "params.const": (1, 1.5),
            "params.default": (0, False),
        },
    ),
    (
        "only the order of keys",
        route({"a": 1, "b": 2}),
        route({"b": 2, "a": 1}),
        {"params": ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}')},
    ),
    (
        "the order of keys beside another field",
        route({"a": 1, "b": 2}, title="A"),
        route({"b": 2, "a": 1}, title="B"),
        {"title": ("A", "B")},
    ),
    ("a service", {"title": "A"}, {"title": "B"}, {"title": ("A", "B")}),
]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [pytest.param(*row, id=name) for name, *row in FIELDS],
)
def test_change_fields_have_dotted_names(
    before: Record, after: Record, expected: dict[str, tuple[Any, Any]]
) -> None:
    assert differences(before, after) == expected
    assert differences(after, before).keys() == expected.keys()


def test_change_addition_and_deletion_have_no_fields() -> None:
    for change in (
        Change("route", "things.create", None, route()),
        Change("route", "things.create", route(), None),
    ):
        assert [*change.fields()] == []


@pytest.mark.parametrize(
    ("before", "after", "verb"),
    [(None, route(), "add"), (route(), route(title="B"), "change"), (route(), None, "delete")],
)
def test_change_verb_and_object_say_what_happens(
    before: Record | None, after: Record | None, verb: str
) -> None:
    change = Change("route", "things.create", before, after)
    assert change.verb == verb
    assert change.as_object() == {
        "verb": verb,
        "kind": "route",
        "name": "things.create",
        "fields": [{"field": "title", "before": "T", "after": "B"}] if verb == "change" else [],
    }


def test_compare_sorts_services_first_then_by_name() -> None:
    before: dict[Key, Record] = {
        ("route", "b.x"): {"n": 1},
        ("service", "b"): {"n": 1},
        ("route", "b.z"): {"n": 1},
    }
    after: dict[Key, Record] = {
        ("route", "b.x"): {"n": 1},
        ("service", "c"): {"n": 1},
        ("route", "a.y"): {"n": 1},
    }
    assert [(change.verb, change.kind, change.name) for change in compare(before, after)] == [
        ("delete", "service", "b"),
        ("add", "service", "c"),
        ("add", "route", "a.y"),
        ("delete", "route", "b.z"),
    ]


def test_compare_equal_states_have_no_changes() -> None:
    state: dict[Key, Record] = {("route", "a.b"): route(), ("service", "a"): {"title": "A"}}
    assert compare(state, dict(state)) == []
    assert compare({}, {}) == []


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, False, False),
        ({"a": {"b": 1}}, {"a": {"b": True}}, False),
    ],
)
def test_same_json_compares_as_json_and_not_as_python(one: Any, other: Any, equal: bool) -> None:  # noqa: FBT001
    assert same_json(one, other) is equal
    assert same_json(other, one) is equal
