"""Validating params against a route's schema: refusals with their entries, and valid params."""

from typing import Any

import pytest
from support.builders import COMMON, faults, judged, judged_text, params

from gateway.values import Valid

ONE_OF_TWO = [{"required": ["order_id"]}, {"required": ["order_request_id"]}]


ORDER = {
    **params(
        order_id={"type": "integer"},
        order_request_id={"type": "integer"},
        stage={"type": "string", "minLength": 1},
        order={**params(due_date={"type": "string"}), "required": ["due_date"]},
        items={"type": "array", "items": {**params(sku={"type": "string"}), "required": ["sku"]}},
    ),
    "required": ["stage"],
    "anyOf": ONE_OF_TWO,
}


@pytest.mark.parametrize(
    ("values", "slug", "entries"),
    [
        pytest.param({"order_id": 1}, "missing-param", ["stage: missing"], id="required"),
        pytest.param(
            {"stage": "x"},
            "missing-param",
            ["order_id: missing", "order_request_id: missing"],
            id="one-of-two-required",
        ),
        pytest.param(
            {},
            "missing-param",
            ["order_id: missing", "order_request_id: missing", "stage: missing"],
            id="all-that-is-missing",
        ),
        pytest.param(
            {"stage": "x", "order_id": 1, "order": {}},
            "missing-param",
            ["order.due_date: missing"],
            id="nested",
        ),
        pytest.param(
            {"stage": "x", "order_id": 1, "items": [{"sku": "A"}, {}]},
            "missing-param",
            ["items.1.sku: missing"],
            id="in-a-list",
        ),
        pytest.param(
            {"stage": "", "order_id": "7"},
            "invalid-param",
            ["order_id: must be an integer", "stage: empty"],
            id="all-that-is-invalid",
        ),
        pytest.param(
            {"stage": None, "order_id": 1},
            "missing-param",
            ["stage: missing"],
            id="null-is-missing",
        ),
        pytest.param(
            {"order_id": "7", "order": {"due_date": 5}, "items": [{"sku": 1}, 2]},
            "missing-param",
            [
                "items.0.sku: must be text",
                "items.1: must be an object",
                "order.due_date: must be text",
                "order_id: must be an integer",
                "stage: missing",
            ],
            id="missing-wins-and-all-are-listed",
        ),
    ],
)
def test_validate_every_error_has_an_entry(
    values: dict[str, Any], slug: str, entries: list[str]
) -> None:
    actual_slug, actual_entries = faults(ORDER, values)
    assert (actual_slug, sorted(actual_entries)) == (slug, entries)


@pytest.mark.parametrize("choice", ["anyOf", "oneOf"])
def test_validate_choice_of_two_required_params_accepts_either(choice: str) -> None:
    schema = {**params(a={"type": "integer"}, b={"type": "integer"})}
    schema[choice] = [{"required": ["a"]}, {"required": ["b"]}]
    assert judged(schema, {"a": 1}).params == {"a": 1}
    assert judged(schema, {"b": 1}).params == {"b": 1}
    assert faults(schema, {}) == ("missing-param", ["a: missing", "b: missing"])


def test_validate_choice_of_sets_of_required_params_names_each_once() -> None:
    schema = {"anyOf": [{"required": ["a", "b"]}, {"required": ["c", "b"]}], **params()}
    assert faults(schema, {}) == ("missing-param", ["a: missing", "b: missing", "c: missing"])


def test_validate_unknown_params_are_dropped_at_every_level_and_named() -> None:
    schema = params(
        order=params(notes={"type": "string"}, due=params(date={"type": "string"})),
        items={"type": "array", "items": params(sku={"type": "string"})},
        free={"type": "object", "additionalProperties": True},
        matrix={"type": "array", "items": {"type": "array", "items": params()}},
        any={},
    )
    values = {
        "order": {"notes": "n", "note": "x", "due": {"date": "d", "tme": "x"}},
        "items": [{"sku": "A"}, {"sku": "B", "size": 1}],
        "free": {"what": {"ever": 1}},
        "matrix": [[{"x": 1}]],
        "any": {"x": 1},
        "Order": {},
        "extra": {"order": 1},
    }
    valid = judged(schema, values)
    assert valid.params == {
        "order": {"notes": "n", "due": {"date": "d"}},
        "items": [{"sku": "A"}, {"sku": "B"}],
        "free": {"what": {"ever": 1}},
        "matrix": [[{}]],
        "any": {"x": 1},
    }
    assert sorted(valid.ignored) == [
        *("Order", "extra", "items.1.size", "matrix.0.0.x", "order.due.tme", "order.note")
    ]


def test_validate_unknown_text_param_is_dropped() -> None:
    valid = judged_text(params(a={"type": "integer"}), {"a": "1", "b": "2"})
    assert (valid.params, valid.ignored) == ({"a": 1}, ("b",))


@pytest.mark.parametrize("keyword", ["additionalProperties", "unevaluatedProperties"])
def test_validate_closed_schema_refuses_unknown_params(keyword: str) -> None:
    schema = params(order={**params(notes={"type": "string"}), keyword: False}, a={})
    assert judged(schema, {"order": {"notes": "n"}, "x": 1}).ignored == ("x",)
    assert faults(schema, {"order": {"note": "n", "due": 1}}) == (
        "invalid-param",
        ["order.note: unrecognized", "order.due: unrecognized"],
    )


def test_validate_closed_schema_accepts_the_token() -> None:
    schema = {"type": "object", "properties": COMMON, "additionalProperties": False}
    valid = judged({**schema, "required": ["token"]}, {"token": "plano_ses_x"})
    assert (valid.params, valid.ignored) == ({}, ())


def test_validate_common_params_do_not_reach_the_service() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, **COMMON}}
    values = {"a": 1, "token": "t", "application": "planoorder", "session_view": "default"}
    assert judged(schema, {**values, "application_view": "default"}) == Valid(
        {"a": 1}, (), session_view="default", application_view="default"
    )


def test_validate_common_param_overridden_by_the_route_reaches_the_service() -> None:
    own = {**COMMON, "application": {"type": "string", "x-common": False}}
    valid = judged({"type": "object", "properties": own}, {"token": "t", "application": "x"})
    assert valid.params == {"application": "x"}


def test_validate_common_param_omitted_by_the_route_is_unknown() -> None:
    kept = {"token": COMMON["token"]}
    valid = judged({"type": "object", "properties": kept}, {"token": "t", "session_view": "no"})
    assert valid == Valid({}, ("session_view",), None, None)


@pytest.mark.parametrize("name", ["session_view", "application_view"])
def test_validate_unknown_view_is_invalid(name: str) -> None:
    schema = {"type": "object", "properties": COMMON}
    assert judged(schema, {name: "default"})[2:] != (None, None)
    for unknown in ("", "Default", "nothing"):
        assert faults(schema, {name: unknown}) == (
            "invalid-param",
            [f"{name}: must be default"],
        )
    assert faults(schema, {name: 1}) == ("invalid-param", [f"{name}: must be text"])


@pytest.mark.parametrize(
    ("values", "attr"),
    [
        ({"a": "x\0y"}, "a"),
        ({"a": "\0"}, "a"),
        ({"deep": {"a": "\0"}}, "deep.a"),
        ({"list": ["x", "\0"]}, "list.1"),
        ({"free": {"x": [{"y": "\0"}]}}, "free.x.0.y"),
        ({"free": {"x\0": 1}}, "free.x"),
        ({"unknown": "\0"}, "unknown"),
        ({"un\0known": 1}, "unknown"),
        ({"session_view": "default\0"}, "session_view"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_validate_nul_is_invalid_at_every_level(values: dict[str, Any], attr: str) -> None:
    schema = params(
        a={"type": "string"},
        deep=params(a={"type": "string"}),
        list={"type": "array", "items": {"type": "string"}},
        free={"type": "object", "additionalProperties": True},
        **COMMON,
    )
    slug, entries = faults(schema, values, nul=True)
    assert slug == "invalid-param"
    assert f"{attr}: must not contain a NUL character" in entries


def test_validate_missing_param_decides_the_slug_and_a_nul_is_listed_too() -> None:
    schema = {**params(a={"type": "string"}), "required": ["b"]}
    assert faults(schema, {"a": "\0"}, nul=True) == (
        "missing-param",
        ["b: missing", "a: must not contain a NUL character"],
    )
