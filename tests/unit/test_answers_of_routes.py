"""The schemas of what this project's routes return: complete, closed, described, and in order."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.answers import in_order
from support.harness import ROOT

from gateway.identity import views
from gateway.manifest.check import check
from gateway.registry.schema import subschemas
from gateway.upstreams.python import Actions

[STATE] = check(ROOT / "routes.yaml")
RECORDS = {name: route.record for name, route in STATE.routes.items()}
RETURNS = {
    name: orjson.loads(record["returns"]) for name, record in RECORDS.items() if "returns" in record
}

ALWAYS_TEXT = {"string", "object", "array"}
NUMBERS = {("statuses.update", "id"), ("statuses.count", "count")}
"""The only scalars of Shoplo's dialect that are not strings."""


def with_code() -> list[str]:
    actions = Actions.load()
    return [name for name, record in RECORDS.items() if actions.find(record["handler"])]


def objects(name: str) -> Iterator[dict[str, Any]]:
    return (schema for schema in subschemas(RETURNS[name]) if "properties" in schema)


def test_every_route_that_a_service_answers_says_what_it_returns() -> None:
    assert sorted(RETURNS) == sorted(with_code())


@pytest.mark.parametrize("name", RETURNS)
def test_answer_lists_every_key_with_a_description(name: str) -> None:
    for schema in objects(name):
        assert schema["additionalProperties"] is False
        assert schema["description"].endswith(".")
        for key, value in schema["properties"].items():
            assert value["description"].endswith("."), key
            assert value["type"], key


@pytest.mark.parametrize("name", RETURNS)
def test_answer_has_an_example_in_the_order_of_its_keys(name: str) -> None:
    examples = RETURNS[name].get("examples", [])
    # An empty answer needs none.
    assert bool(examples) is bool(RETURNS[name]["properties"])
    assert all(in_order(example, RETURNS[name]) for example in examples)


def test_answers_with_a_session_have_the_keys_of_its_default_view() -> None:
    sessions = [
        s["properties"]["session"] for s in RETURNS.values() if "session" in s["properties"]
    ]
    assert len(sessions) == 5
    for session in sessions:
        assert tuple(session["properties"]) == views.SESSION_VIEWS["default"]
        assert session["properties"] == sessions[0]["properties"]
        assert session["required"] == [*session["properties"]]


def test_answers_describe_an_order_s_stage_and_status_in_the_same_words() -> None:
    created = RETURNS["order_stages.create"]["properties"]
    listed = RETURNS["order_stages.history"]["properties"]["results"]["items"]
    read = RETURNS["order_statuses.read"]["properties"]["order_status"]
    assert created["order_stage"]["properties"] == listed["properties"]
    assert created["order_status"]["properties"] == read["properties"]


def test_answers_in_shoplo_s_dialect_have_no_scalar_but_strings() -> None:
    numbers = set()
    for name in RETURNS:
        if RECORDS[name]["envelope"] == "shoplo":
            for schema in objects(name):
                typed = {key: value["type"] for key, value in schema["properties"].items()}
                numbers |= {(name, key) for key in typed if typed[key] not in ALWAYS_TEXT}
    assert numbers == NUMBERS
