"""The params of a route in its OpenAPI document: parameters, bodies, schemas."""

import base64
from typing import Any

import jsonschema_rs
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.builders import APPLICATIONS, COMMON, params, route

from gateway.pages.openapi.components import Components
from gateway.pages.openapi.document import openapi
from gateway.pages.openapi.path_templates import PathTemplates
from gateway.pages.openapi.schemas import clean, without
from gateway.registry.documentation import Documentation
from gateway.registry.records import Route, Service
from gateway.registry.schema.shape import resolve_ref
from gateway.registry.table import Table

APPLICATION = {"type": "string", "x-common": True, "x-values": "applications"}


def document(*routes: Route) -> dict[str, Any]:
    """The document of these routes, as JSON."""
    services = [Service("things", "python", deployed=True, title="Things")]
    found = openapi(Table(7, services, routes, APPLICATIONS))
    parsed: dict[str, Any] = orjson.loads(orjson.dumps(found))
    return parsed


def operation(found: dict[str, Any]) -> dict[str, Any]:
    """The one operation of a document."""
    [path] = found["paths"].values()
    [only] = path.values()
    operation: dict[str, Any] = only
    return operation


def parameters(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of the one operation by name, with what they refer to."""
    listed = operation(found).get("parameters", [])
    parts = [resolve_ref(p["$ref"], found) if "$ref" in p else p for p in listed]
    return {part["name"]: part for part in parts}


def body(found: dict[str, Any]) -> dict[str, Any]:
    """The schema of the JSON body of the one operation."""
    schema = operation(found)["requestBody"]["content"]["application/json"]["schema"]
    target: dict[str, Any] = resolve_ref(schema["$ref"], found)
    return target


def test_document_of_unusual_routes_is_valid_openapi() -> None:
    schema = {
        **params(id={"$ref": "#/$defs/a b"}, tree={"$ref": "#"}, mixed={"enum": ["a", 1, None]}),
        "$defs": {"a b": {"type": ["integer", "null"]}},
        "anyOf": [{"required": ["id"]}, True],
    }
    found = document(
        route("/a/{id:int}", name="things.a", schema=schema, method="PUT"),
        route("/a/{id:uuid}", name="things.b", schema=schema, method="PUT"),
        route("/a/{name}", name="things.c", schema=schema, method="GET", idempotency="required"),
        route("/b", name="things.d", schema=schema, sensitive_params=True, method="DELETE"),
        route("/c", name="things.e", schema=schema, envelope="shoplo", auth=frozenset()),
    )
    assert [len(path) for path in found["paths"].values()] == [2, 1, 1, 1]
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []


def test_path_params_are_typed_and_not_in_the_body() -> None:
    schema = params(
        id={"type": "integer", "description": "Its id."}, key={}, note={"type": "string"}
    )
    schema |= {"required": ["id", "key", "note"], "anyOf": [{"required": ["id"]}, {}]}
    found = document(route("/things/{id:int}/{key:uuid}/{name}", method="PUT", schema=schema))
    assert list(found["paths"]) == ["/things/{id}/{key}/{name}"]
    listed = parameters(found)
    assert [(p["in"], p["required"]) for p in listed.values()] == [("path", True)] * 3
    assert listed["id"]["schema"]["type"] == "integer"
    assert listed["id"]["description"] == "Its id."
    assert listed["key"]["schema"] == {"type": "string", "format": "uuid"}
    assert listed["name"]["schema"] == {"type": "string"}
    assert body(found)["required"] == ["note"]
    assert list(body(found)["properties"]) == ["note"]
    assert body(found)["anyOf"] == [{}, {}]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_params_of_a_route_without_body_are_in_the_query(method: str) -> None:
    schema = params(ids={"type": "array", "items": {"type": "integer"}}, page={"type": "object"})
    schema = {
        **schema,
        "properties": {**schema["properties"], **COMMON},
        "required": ["ids", "token"],
    }
    found = document(route(method=method, schema=schema))
    assert "requestBody" not in operation(found)
    listed = parameters(found)
    assert {p["in"] for p in listed.values()} == {"query"}
    assert listed["ids"]["required"] is True
    assert (listed["ids"]["style"], listed["ids"]["explode"]) == ("form", False)
    assert listed["page"]["style"] == "deepObject"
    assert "required" not in listed["token"]


def test_body_is_json_or_a_form_and_required_if_a_param_is() -> None:
    schema = params(stage={"type": "string"}, order={"type": "object"}, ids={"type": "array"})
    found = document(route(schema=schema))
    request = operation(found)["requestBody"]
    assert request["required"] is False
    form = request["content"]["application/x-www-form-urlencoded"]
    assert form["schema"] == request["content"]["application/json"]["schema"]
    assert form["encoding"]["order"] == {"style": "deepObject", "explode": True}
    assert form["encoding"]["ids"] == {"style": "form", "explode": False}
    for rule in ({"required": ["stage"]}, {"anyOf": [{"required": ["stage"]}]}):
        assert operation(document(route(schema={**schema, **rule})))["requestBody"]["required"]
    assert "requestBody" not in operation(document(route()))


def test_token_is_not_required_since_the_scheme_carries_it() -> None:
    schema = {
        "type": "object",
        "required": ["token", "stage"],
        "properties": {"stage": {}, **COMMON},
    }
    found = document(route(schema=schema))
    common, own = body(found)["allOf"]
    assert own["required"] == ["stage"]
    assert "token" in resolve_ref(common["$ref"], found)["properties"]


def test_own_param_called_token_stays_required() -> None:
    schema = {**params(token={"type": "string"}), "required": ["token"]}
    assert body(document(route(schema=schema, auth=frozenset())))["required"] == ["token"]


def test_routes_share_common_params_but_not_those_with_other_values() -> None:
    schema = params(application=APPLICATION)
    roles = {"planox2": ("employee",)}
    found = document(
        route("/a", name="things.a", schema=schema),
        route("/b", name="things.b", schema=schema),
        route("/c", name="things.c", schema=schema, roles=roles),
    )
    schemas = found["components"]["schemas"]
    values = {name: part["enum"] for name, part in schemas.items() if name.startswith("common.")}
    assert values == {
        "common.application": ["planoauth", "planoorder", "planox2"],
        "common.application-2": ["planox2"],
    }


def test_order_secrets_and_descriptions_stay_and_internal_keywords_go() -> None:
    schema = {
        "x-joined": True,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **params(
            secret={"x-order": 1, "x-sensitive": True, "description": "D.", "x-common": False}
        ),
    }
    # A param may have the name of a keyword.
    schema["properties"]["x-values"] = {"type": "string"}
    cleaned = clean(schema)
    assert cleaned == params(
        secret={"x-order": 1, "x-sensitive": True, "description": "D."},
        **{"x-values": {"type": "string"}},
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": ["string", "integer"], "enum": ["0", 0, "1", 1]},
            [{"type": "string", "enum": ["0", "1"]}, {"type": "integer", "enum": [0, 1]}],
        ),
        (
            {"enum": [True, 1]},
            [{"type": "boolean", "enum": [True]}, {"type": "integer", "enum": [1]}],
        ),
        (
            {"enum": ["a", None]},
            [{"type": "string", "enum": ["a"]}, {"type": "null", "enum": [None]}],
        ),
    ],
    ids=["text and integers", "booleans are no integers", "null"],
)
def test_enum_of_several_types_becomes_enums_of_one(schema: Any, expected: Any) -> None:
    assert clean(schema) == {"anyOf": expected}


def test_enum_beside_an_any_of_keeps_both_rules() -> None:
    schema = {"enum": ["a", 1], "anyOf": [{"maxLength": 1}]}
    assert clean(schema) == {
        "anyOf": [{"maxLength": 1}],
        "allOf": [{"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]}],
    }


def test_common_params_are_among_those_of_a_route_that_refuses_others() -> None:
    schema = {"properties": {"stage": {}, **COMMON}, "additionalProperties": False}
    found = document(route(schema=schema))
    assert {"stage", "token", "application"} <= body(found)["properties"].keys()
    validator = jsonschema_rs.Draft202012Validator(
        {**body(found), "components": found["components"]}
    )
    assert validator.is_valid({"stage": 1, "token": "t"})


def test_list_of_anything_has_items_that_are_anything() -> None:
    schema = {"properties": {"tags": {"type": ["array", "null"]}, "ids": {"items": {"minimum": 1}}}}
    tags, ids = clean(schema)["properties"].values()
    assert tags == {"type": ["array", "null"], "items": {}}
    assert ids == {"items": {"minimum": 1}}


def test_choice_of_required_params_leaves_the_body_its_types() -> None:
    schema = params(a={"type": "integer"}, b={"type": "integer"}, c={"type": "integer"})
    schema["anyOf"] = [{"required": ["a", "b"]}, {"required": ["c"]}]
    found = document(route(schema=schema))
    assert "anyOf" not in body(found)
    validator = jsonschema_rs.Draft202012Validator(body(found))
    for names in ("", "a", "b", "ab", "c", "ac", "abc"):
        assert validator.is_valid(dict.fromkeys(names, 1)) is (
            "c" in names or names.startswith("ab")
        ), names
    assert operation(found)["requestBody"]["required"]


@pytest.mark.parametrize("rest", [{}, {"minProperties": 1}])
def test_choice_of_other_rules_stays_as_it_is(rest: dict[str, Any]) -> None:
    schema = params(a={"type": "integer"})
    schema |= {"anyOf": [{"required": ["a"], **rest}], "not": {"required": ["z"]}}
    assert body(document(route(schema=schema)))["anyOf"] == schema["anyOf"]


def test_definitions_move_to_the_components_with_the_references_to_them() -> None:
    schema = {
        **params(
            price={"$ref": "#/$defs/a b"}, tree={"$ref": "#"}, same={"$ref": "#/properties/price"}
        ),
        "$defs": {
            "a b": {"type": "object", "properties": {"cents": {"$ref": "#/$defs/cents"}}},
            "cents": {"type": "integer"},
        },
    }
    found = document(route(schema=schema))
    schemas = found["components"]["schemas"]
    own = "#/components/schemas/things.create.params"
    properties = body(found)["properties"]
    assert properties["price"] == {"$ref": f"{own}.a_b"}
    assert properties["tree"] == {"$ref": own}
    assert properties["same"] == {"$ref": f"{own}/properties/price"}
    assert schemas["things.create.params.a_b"]["properties"]["cents"] == {"$ref": f"{own}.cents"}
    assert schemas["things.create.params.cents"] == {"type": "integer"}
    assert "$defs" not in body(found)


def test_references_of_query_params_resolve() -> None:
    schema = {**params(size={"$ref": "#/$defs/size"}), "$defs": {"size": {"type": "integer"}}}
    found = document(route(method="GET", schema=schema))
    assert resolve_ref(parameters(found)["size"]["schema"]["$ref"], found) == {"type": "integer"}


def test_params_of_two_routes_with_equal_schemas_refer_to_the_same_definitions() -> None:
    schema = {**params(id={"$ref": "#/$defs/id"}, at={"$ref": "#/$defs/id"}), "$defs": {"id": {}}}
    found = document(
        route("/a/{id}", name="things.a", method="GET", schema=schema),
        route("/b/{id}", name="things.b", method="GET", schema=schema),
    )
    shared = {"$ref": "#/components/schemas/things.a.params.id"}
    for path in found["paths"].values():
        parts = [resolve_ref(part["$ref"], found) for part in path["get"]["parameters"]]
        listed = {part["name"]: part["schema"] for part in parts}
        assert listed == {"id": {**shared, "type": "string"}, "at": shared}


def test_path_param_that_another_schema_refers_to_stays_in_the_body() -> None:
    schema = {
        **params(id={"type": "integer"}, other={"$ref": "#/properties/id"}),
        "required": ["id"],
    }
    assert without(schema, ["id"]) == params(**schema["properties"])


def test_two_definitions_with_one_name_for_openapi_stay_two() -> None:
    schema = {
        "$defs": {"a b": {"type": "string"}, "a/b": {"type": "integer"}},
        "$ref": "#/$defs/a~1b",
    }
    components = Components()
    components.add_schema("x", schema)
    schemas = components.as_object()["schemas"]
    assert schemas["x.a_b"] == {"type": "string"}
    assert schemas["x"]["$ref"] == "#/components/schemas/x.a_b-2"
    assert schemas["x.a_b-2"] == {"type": "integer"}


def test_paths_that_openapi_cannot_tell_apart_lose_no_route() -> None:
    templates = PathTemplates()
    placed = [
        templates.place(route(path, method=method)).path
        for method, path in (
            ("GET", "/things/{id:int}"),
            ("PUT", "/things/{number:int}"),
            ("GET", "/things/{id:uuid}"),
            ("GET", "/things/{name}"),
            ("PUT", "/things/{name}"),
        )
    ]
    assert placed == [
        "/things/{id}",
        "/things/{id}",
        "/things/{id_2}",
        "/things/{name_3}",
        "/things/{id_2}",
    ]
    shared = document(
        route("/things/{id:int}", name="things.a", method="GET"),
        route("/things/{number:int}", name="things.b", method="PUT"),
    )
    [path] = shared["paths"]
    assert path == "/things/{id}"
    [parameter] = shared["paths"][path]["put"]["parameters"]
    assert resolve_ref(parameter["$ref"], shared)["name"] == "id"


def test_example_of_a_body_is_that_of_the_manifest() -> None:
    documentation = Documentation(examples='{"params": {"id": 7, "stage": "scheduled"}}')
    schema = params(id={"type": "integer"}, stage={"type": "string"})
    path = "/things/{id:int}"
    found = document(route(path, schema=schema, documentation=documentation))
    content = operation(found)["requestBody"]["content"]
    assert content["application/json"]["example"] == {"stage": "scheduled"}
    secret = document(
        route(path, schema=schema, documentation=documentation, sensitive_params=True)
    )
    text = operation(secret)["requestBody"]["content"]["text/plain"]["example"]
    assert orjson.loads(base64.b64decode(text)) == {"stage": "scheduled"}
    query = document(route(path, method="GET", schema=schema, documentation=documentation))
    assert parameters(query)["stage"]["example"] == "scheduled"
