"""The JSON Schemas for editors: what they accept, what they refuse, and in which words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import editor_schemas as tool
import jsonschema
import orjson
import pytest
from support.harness import ROOT

from gateway.manifest.rules import keywords
from gateway.manifest.source.read import ManifestError, read
from gateway.registry.schema import subschemas

BROKEN = Path(__file__).with_name("broken_manifests")
SCHEMAS = ROOT / "gateway" / "schemas"

VISIBLE = {
    "auth_missing": "'auth' is a required property",
    "envelope_unknown": "must be plano or shoplo",
    "key_unknown": "'titel' was unexpected",
    "key_unknown_at_top": "'service' was unexpected",
    "merge_key": "'x-usual' was unexpected",
    "namespace_empty": "must be a lower-case letter, then lower-case letters, digits and _; "
    "at most 63 characters",
    "number_for_text": "must be a whole number of ms or s, such as 250ms or 10s",
    "params_keyword": "must be one of array, boolean, integer, null, number, object, string, "
    "or a list of them, each once",
    "params_required": "must be a whole number, 1 or more",
    "routes_empty": "must be a mapping",
}
"""The broken manifests whose error a schema can see, each with a message."""

ELSEWHERE = {
    "get_with_sensitive_params",
    "params_outside",
    "params_trailing_comma",
    "params_twice",
    "service_unknown",
    "two_routes_one_path",
}
"""Those whose errors are in other files, or between two keys."""


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    return document


def errors(name: str, document: Any) -> Iterator[Any]:
    """The innermost errors of a document."""
    pending = [*jsonschema.Draft202012Validator(schema(name)).iter_errors(document)]
    while pending:
        error = pending.pop()
        pending += error.context
        if not error.context:
            yield error


def messages(name: str, document: Any) -> list[str]:
    """What an editor shows: the schema's own message, otherwise the validator's."""
    return [
        str(error.schema.get("errorMessage", error.message)) for error in errors(name, document)
    ]


def documents(file: Path) -> list[Any]:
    """The documents of a manifest; none if it is not valid YAML."""
    try:
        return [document.data for document in read(file)]
    except ManifestError:
        return []


def test_the_files_are_what_the_command_prints() -> None:
    assert tool.stale() == []


@pytest.mark.parametrize("name", ["routes", "params"])
def test_an_editor_schema_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_the_editor_schema_accepts_this_projects_manifest() -> None:
    [document] = documents(ROOT / "routes.yaml")
    assert [*errors("routes", document)] == []


@pytest.mark.parametrize("name", VISIBLE)
def test_the_editor_schema_refuses_a_broken_manifest_in_our_words(name: str) -> None:
    [document] = documents(BROKEN / f"{name}.yaml")
    assert any(VISIBLE[name] in message for message in messages("routes", document))


def test_each_other_broken_manifest_is_invalid_yaml_or_fits_the_editor_schema() -> None:
    fitting = set()
    for file in BROKEN.glob("*.yaml"):
        if found := documents(file):
            invalid = any(messages("routes", document) for document in found)
            assert invalid == (file.stem in VISIBLE), file.name
            fitting |= set() if invalid else {file.stem}
    assert fitting == ELSEWHERE


@pytest.mark.parametrize(
    "file",
    [*sorted((ROOT / "schemas").rglob("*.json")), SCHEMAS / "common.json"],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_the_params_schema_accepts_each_schema_of_this_project(file: Path) -> None:
    document = orjson.loads(file.read_bytes())
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert messages("params", document) == []


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"properties": {"a": {"x-order": 0}}}, "must be a whole number, 1 or more"),
        ({"properties": {"a": {"x-sensitive": "yes"}}}, "must be true or false"),
        ({"properties": {"a": {"minLength": -1}}}, "must be a whole number, 0 or more"),
        ({"properties": {"a": {"x-empty": "keep"}}}, "must be 'absent'"),
        ({"required": "a"}, "must be a list of names, each once"),
        ({"x-omit": "token"}, "must be a list of names of common params"),
        ({"properties": []}, "must be an object of names and their schemas"),
        ({"properties": {"a": {"minLenght": 1}}}, "'minLenght' does not match"),
    ],
)
def test_the_params_schema_refuses_a_mistake_in_our_words(written: Any, message: str) -> None:
    assert message in "\n".join(messages("params", written))


def test_each_keyword_of_params_has_a_description() -> None:
    properties = schema("params")["$defs"]["schema"]["properties"]
    assert keywords.KEYWORDS.keys() <= properties.keys()
    assert all(value["description"].endswith(".") for value in properties.values())


def test_keywords_of_others_that_begin_with_x_are_free() -> None:
    assert messages("params", {"x-team": {"any": 1}}) == []


def test_each_key_of_a_manifest_has_a_description_and_an_example() -> None:
    definitions = schema("routes")["$defs"]
    for name in ("application", "service", "route"):
        assert definitions[name]["title"]
        for key, value in definitions[name]["properties"].items():
            assert value["description"], key
            assert value.get("examples") or key == "settings", key


def test_each_leaf_of_the_manifest_schema_has_a_message() -> None:
    for part in subschemas(schema("routes")):
        if {"type", "enum", "const"} & part.keys():
            assert "properties" in part or "$ref" in part or "errorMessage" in part, part
