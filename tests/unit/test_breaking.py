"""Which changes break callers: each breakage is named, and no harmless change is."""

import json
from typing import Any

import pytest

from gateway.manifest.plan import Plan
from gateway.manifest.records.breaking import breakages
from gateway.manifest.records.change import Change, Record
from gateway.registry.revision import Revision

ROUTE: Record = {
    "handler": "things.create",
    "method": "POST",
    "path": "/things",
    "deployed": True,
    "title": "T",
    "description": "",
    "auth": ["application", "session"],
    "roles": None,
    "client_required": False,
    "sensitive_params": False,
    "envelope": "plano",
    "statuses": {},
    "timeout": 10.0,
    "max_body": 1000,
    "max_values": 1000,
    "idempotency": "off",
    "rate_limit": None,
    "params": "{}",
}
FIVE = {"from": "replica", "stale": 5.0}
TEN = {"from": "replica", "stale": 10.0}
SERVICE: Record = {"kind": "python", "deployed": True, "title": "Things"}


def breakages_of(before: Record | None, after: Record | None, kind: Any = "route") -> list[str]:
    return breakages(Change(kind, "things.create", before, after))


def breakages_of_route(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return breakages_of({**ROUTE, **before}, {**ROUTE, **after})


def breakages_of_schema(before: Any, after: Any) -> list[str]:
    return breakages_of_route({"params": json.dumps(before)}, {"params": json.dumps(after)})


def breakages_of_param(before: Any, after: Any) -> list[str]:
    """The breakages of a change of one param, a."""
    return breakages_of_schema({"properties": {"a": before}}, {"properties": {"a": after}})


def with_statuses(**codes: int) -> dict[str, Any]:
    statuses = {slug: {"http": http, "meaning": "M"} for slug, http in codes.items()}
    return {"statuses": statuses}


# Records


def test_breaking_addition_is_not_breaking() -> None:
    assert breakages_of(None, ROUTE) == []
    assert breakages_of(None, SERVICE, "service") == []


@pytest.mark.parametrize(("kind", "record"), [("route", ROUTE), ("service", SERVICE)])
def test_breaking_deletion_of_a_deployed_record_is_breaking(kind: str, record: Record) -> None:
    assert breakages_of(record, None, kind) == ["is deleted"]
    assert breakages_of({**record, "deployed": False}, None, kind) == []


@pytest.mark.parametrize(("kind", "record"), [("route", ROUTE), ("service", SERVICE)])
def test_breaking_end_of_deployment_is_breaking(kind: str, record: Record) -> None:
    not_deployed = {**record, "deployed": False}
    assert breakages_of(record, not_deployed, kind) == ["is no longer deployed"]
    assert breakages_of(not_deployed, record, kind) == []


def test_breaking_service_title_is_not_breaking() -> None:
    assert breakages_of(SERVICE, {**SERVICE, "title": "Other"}, "service") == []


# Routes: before, after, and the breakages of this change and of its reversal

ROUTES: list[tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = [
    (
        {"method": "POST"},
        {"method": "PUT"},
        ["method changes from POST to PUT"],
        ["method changes from PUT to POST"],
    ),
    (
        {"path": "/a"},
        {"path": "/b"},
        ["path changes from /a to /b"],
        ["path changes from /b to /a"],
    ),
    (
        {"envelope": "plano"},
        {"envelope": "shoplo"},
        ["envelope changes from plano to shoplo"],
        ["envelope changes from shoplo to plano"],
    ),
    (
        {"sensitive_params": False},
        {"sensitive_params": True},
        ["sensitive_params changes from false to true"],
        ["sensitive_params changes from true to false"],
    ),
    ({"max_values": 9}, {"max_values": 8}, ["max_values drops from 9 to 8"], []),
    ({"max_body": 9}, {"max_body": 8}, ["max_body drops from 9B to 8B"], []),
    ({"reads": FIVE}, {"reads": TEN}, ["answers may be 10s old"], []),
    ({}, {"reads": FIVE}, ["answers may be 5s old"], []),
    ({}, {"idempotency": "optional"}, [], []),
    ({}, {"idempotency": "required"}, ["requires an Idempotency-Key"], []),
    ({}, {"rate_limit": [50, 60]}, ["rate_limit becomes 50/minute"], []),
    (
        {"rate_limit": [2, 1]},
        {"rate_limit": [50, 60]},
        ["rate_limit becomes 50/minute"],
        ["rate_limit becomes 2/second"],
    ),
    (
        {"auth": ["application", "session"]},
        {"auth": ["session"]},
        ["no longer accepts application tokens"],
        [],
    ),
    (
        {"auth": ["application", "session"]},
        {"auth": ["application"]},
        ["no longer accepts session tokens"],
        [],
    ),
    (
        {"auth": ["application"]},
        {"auth": ["session"]},
        ["no longer accepts application tokens"],
        ["no longer accepts session tokens"],
    ),
    ({"auth": []}, {"auth": ["session"]}, ["requires a token"], []),
    ({"client_required": False}, {"client_required": True}, ["requires a user with a role"], []),
    (
        {"auth": [], "client_required": False},
        {"auth": [], "client_required": True},
        [],
        [],
    ),
    ({"roles": None}, {"roles": {"a": ["client"]}}, ["accepts only some roles"], []),
    (
        {"roles": {"a": ["client"], "b": ["client"]}},
        {"roles": {"a": ["client"]}},
        ["no longer accepts the application b"],
        [],
    ),
    (
        {"roles": {"a": ["client", "employee", "liaison"]}},
        {"roles": {"a": ["employee"]}},
        ["no longer accepts the role client or liaison in the application a"],
        [],
    ),
    (
        {"roles": {"a": ["client", "employee"]}},
        {"roles": {"a": ["employee", "client"]}},
        [],
        [],
    ),
    (with_statuses(odd=409), with_statuses(), ["status odd is removed"], []),
    (
        with_statuses(odd=409),
        with_statuses(odd=422),
        ["status odd changes from HTTP 409 to 422"],
        ["status odd changes from HTTP 422 to 409"],
    ),
    ({"handler": "a.b"}, {"handler": "a.c"}, [], []),
    ({"title": "A", "description": "A"}, {"title": "B", "description": "B"}, [], []),
    ({"timeout": 10.0}, {"timeout": 5.0}, [], []),
]


@pytest.mark.parametrize(("before", "after", "forwards", "backwards"), ROUTES)
def test_breaking_route_change_is_named_if_it_breaks_callers(
    before: dict[str, Any], after: dict[str, Any], forwards: list[str], backwards: list[str]
) -> None:
    assert breakages_of_route(before, after) == forwards
    assert breakages_of_route(after, before) == backwards
    assert breakages_of_route(before, before) == []


# Params: the same for the schema of one param, a

PARAMS: list[tuple[Any, Any, list[str], list[str]]] = [
    ({}, {"type": "string"}, ["param a changes from any type to string"], []),
    (
        {"type": "string"},
        {"type": "integer"},
        ["param a changes from string to integer"],
        ["param a changes from integer to string"],
    ),
    (
        {"type": ["string", "null"]},
        {"type": "string"},
        ["param a changes from null or string to string"],
        [],
    ),
    ({"type": "number"}, {"type": "integer"}, ["param a changes from number to integer"], []),
    ({}, {"enum": ["x"]}, ["param a accepts only some values"], []),
    (
        {"enum": ["x", "y", "z"]},
        {"enum": ["y"]},
        ["param a no longer accepts x, z"],
        [],
    ),
    ({"enum": ["x", "y"]}, {"enum": ["y", "x"]}, [], []),
    (
        {"enum": [1]},
        {"enum": [True]},
        ["param a no longer accepts 1"],
        ["param a no longer accepts true"],
    ),
    ({}, {"const": 1}, ["param a accepts only some values"], []),
    ({"enum": ["x", "y"]}, {"const": "x"}, ["param a no longer accepts y"], []),
    (
        {"const": 1},
        {"const": 2},
        ["param a no longer accepts 1"],
        ["param a no longer accepts 2"],
    ),
    *(
        (schema, {**schema, key: 2}, [f"param a: {key} becomes 2"], [])
        for key in (
            *("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
            *("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
        )
        for schema in ({}, {key: 3 if "ax" in key else 1})
    ),
    *(({}, {key: 0}, [], []) for key in ("minLength", "minItems", "minProperties")),
    ({}, {"minimum": 0}, ["param a: minimum becomes 0"], []),
    *(
        ({}, {key: one}, [f"param a: {key} changes"], [])
        for key, one in {
            "pattern": "^x$",
            "format": "date",
            "multipleOf": 2,
            "allOf": [{"type": "string"}],
            "anyOf": [{"type": "string"}],
            "oneOf": [{"type": "string"}],
            "not": {"type": "string"},
            "$ref": "#/$defs/x",
            "patternProperties": {"x": {"type": "string"}},
            "propertyNames": {"maxLength": 2},
            "dependentRequired": {"x": ["y"]},
            "dependentSchemas": {"x": {"required": ["y"]}},
            "prefixItems": [{"type": "string"}],
            "contains": {"type": "string"},
            "unevaluatedItems": False,
            "unevaluatedProperties": False,
        }.items()
    ),
    (
        {"pattern": "^x$"},
        {"pattern": "^y$"},
        ["param a: pattern changes"],
        ["param a: pattern changes"],
    ),
    (
        {"if": {"minimum": 1}, "then": {"maximum": 9}},
        {"if": {"minimum": 2}, "then": {"maximum": 9}, "else": {"maximum": 0}},
        ["param a: if changes", "param a: else changes"],
        ["param a: if changes"],
    ),
    ({}, {"uniqueItems": True}, ["param a: items become unique"], []),
    ({}, {"uniqueItems": False}, [], []),
    ({}, {"required": ["x"]}, ["param a.x becomes required"], []),
    ({"properties": {"x": {}}}, {}, ["param a.x is removed"], []),
    (
        {"properties": {"x": {"type": "integer"}}},
        {"properties": {"x": {"type": "string"}}},
        ["param a.x changes from integer to string"],
        ["param a.x changes from string to integer"],
    ),
    ({}, {"items": {"type": "string"}}, ["param a.[] changes from any type to string"], []),
    (
        {"items": {"properties": {"x": {}}}},
        {"items": {"properties": {"x": {"maximum": 1}}}},
        ["param a.[].x: maximum becomes 1"],
        [],
    ),
    ({}, {"items": False}, ["param a.[] no longer accepts any value"], []),
    (
        {"$defs": {"x": {}, "y": {}}},
        {"$defs": {"x": {"type": "string"}, "z": {"type": "string"}}},
        ["param a.$defs.x changes from any type to string"],
        [],
    ),
    ({}, {"additionalProperties": False}, ["param a: unknown params are refused"], []),
    (
        {"additionalProperties": True},
        {"additionalProperties": {"type": "string"}},
        ["param a.* changes from any type to string"],
        [],
    ),
    (
        {"additionalProperties": {"type": "string"}},
        {"additionalProperties": {"type": "string", "maxLength": 2}},
        ["param a.*: maxLength becomes 2"],
        [],
    ),
    (
        {"additionalProperties": True, "properties": {"x": {}}},
        {"properties": {"x": {}}},
        ["param a: unknown params are dropped"],
        [],
    ),
    (
        {"additionalProperties": False},
        {"additionalProperties": True},
        [],
        ["param a: unknown params are refused"],
    ),
    (True, {}, [], []),
    (True, False, ["param a no longer accepts any value"], []),
    (True, {"type": "string"}, ["param a changes from any type to string"], []),
    (
        {"title": "A", "description": "A", "default": 1, "examples": [1], "x-order": 1},
        {"title": "B", "description": "B", "default": 2, "examples": [2], "x-order": 2},
        [],
        [],
    ),
]


@pytest.mark.parametrize(("before", "after", "forwards", "backwards"), PARAMS)
def test_breaking_param_change_is_named_if_it_breaks_callers(
    before: Any, after: Any, forwards: list[str], backwards: list[str]
) -> None:
    assert breakages_of_param(before, after) == forwards
    assert breakages_of_param(after, before) == backwards
    assert breakages_of_param(before, before) == []


def test_breaking_integer_to_number_is_not_breaking() -> None:
    assert breakages_of_param({"type": "integer"}, {"type": "number"}) == []
    assert breakages_of_param({"type": ["integer", "null"]}, {"type": ["number", "null"]}) == []


def test_breaking_added_and_removed_params_are_named() -> None:
    before = {"properties": {"a": {}, "b": {}}, "required": ["a"]}
    after = {"properties": {"b": {}, "c": {}, "d": {}}, "required": ["b", "d"]}
    assert breakages_of_schema(before, after) == [
        "param b becomes required",
        "param d becomes required",
        "param a is removed",
    ]


@pytest.mark.parametrize(
    ("unknown", "named", "expected"),
    [
        (True, {"type": "integer"}, ["param a changes from any type to integer"]),
        ({"type": "string"}, {"type": "integer"}, ["param a changes from string to integer"]),
        ({"type": "string"}, {"type": "string"}, []),
        (False, {"type": "integer"}, []),
    ],
)
def test_breaking_new_property_is_compared_with_the_schema_of_unknown_params(
    unknown: Any, named: dict[str, Any], expected: list[str]
) -> None:
    before = {"additionalProperties": unknown}
    assert breakages_of_schema(before, {**before, "properties": {"a": named}}) == expected


def test_breaking_change_of_an_undeployed_route_is_not_breaking() -> None:
    assert breakages_of_route({"deployed": False}, {"method": "PUT", "path": "/other"}) == []


def test_breaking_top_level_params_are_named_params() -> None:
    assert breakages_of_schema({}, {"additionalProperties": False}) == [
        "params: unknown params are refused"
    ]


def test_breaking_reports_every_breakage_of_a_route() -> None:
    before = {"params": json.dumps({"properties": {"a": {}}})}
    after = {
        "method": "PUT",
        "auth": ["session"],
        "params": json.dumps({"properties": {"a": {"type": "string"}}, "required": ["a"]}),
    }
    assert breakages_of_route(before, after) == [
        "method changes from POST to PUT",
        "no longer accepts application tokens",
        "param a becomes required",
        "param a changes from any type to string",
    ]


def test_plan_breaking_lists_only_the_changes_that_break_callers() -> None:
    harmless = Change("route", "a.b", ROUTE, {**ROUTE, "title": "New"})
    breaking = Change("route", "a.c", ROUTE, {**ROUTE, "path": "/new"})
    plan = Plan("test", Revision(3, None), [harmless, breaking])
    assert plan.breaking() == [(breaking, ["path changes from /things to /new"])]
    assert plan.as_object()["breaking"] == [
        {"kind": "route", "name": "a.c", "breaks": ["path changes from /things to /new"]}
    ]


# Answers: test_breaking_returns.py has the rules


def test_change_of_an_answer_breaks_callers_who_knew_its_schema() -> None:
    known, other = ({"returns": json.dumps({"type": kind})} for kind in ("string", "integer"))
    assert breakages_of_route(known, other) == ["the answer changes from string to integer"]
    assert not breakages_of_route(known, known)
    # A route without `returns` promised nothing.
    assert not breakages_of_route({}, other)


def test_answer_that_is_no_longer_described_breaks_callers_who_knew_its_schema() -> None:
    known = {"returns": json.dumps({"type": "object"})}
    assert breakages_of_route(known, {}) == ["returns is removed"]
    assert not breakages_of_route({}, {})
