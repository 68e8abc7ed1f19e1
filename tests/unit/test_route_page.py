"""What the documentation's pages say of a route, and in which order."""

from typing import Any

import pytest
from support import builders

from gateway.pages import render
from gateway.pages.documentation import examples
from gateway.pages.documentation.manifest_keys import manifest_keys
from gateway.pages.documentation.params import Param, documented_params
from gateway.pages.documentation.route_page import route_page
from gateway.pages.documentation.snippets import snippets
from gateway.pages.search import SearchIndex
from gateway.registry.documentation import Documentation
from gateway.registry.records import Route, Service
from gateway.registry.schema.samples import sample
from gateway.registry.table import Table

ORIGIN = "https://api.example.com"


def table_of(*routes: Route) -> Table:
    service = Service(name="things", kind="python", deployed=True, title="Things")
    return Table(1, [service], routes, builders.APPLICATIONS)


def params_of(properties: dict[str, Any], **keywords: Any) -> tuple[Param, ...]:
    schema = {"type": "object", "properties": properties, **keywords}
    route = builders.route(schema=schema)
    return documented_params(route, table_of(route))


def only(schema: dict[str, Any]) -> Param:
    [param] = params_of({"n": schema})
    return param


def test_params_are_sorted_by_order_number_and_the_common_ones_without_come_last() -> None:
    params = params_of(
        {
            "late": {"x-order": 3},
            "token": {"x-common": True},
            "unnumbered": {},
            "first": {"x-order": 1},
            "also_first": {"x-order": 1},
        }
    )
    assert [p.name for p in params] == ["first", "also_first", "late", "unnumbered", "token"]


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": "object", "x-type": "hash"}, "hash"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "array", "items": {"type": "string"}}, "array of string"),
        ({}, "any"),
    ],
)
def test_param_type_is_what_people_write(schema: dict[str, Any], name: str) -> None:
    assert only(schema).type == name


def test_param_values_are_listed_as_text() -> None:
    assert only({"enum": ["a", 1, True, None]}).values == ("a", "1", "true", "null")
    assert only({"const": 5}).values == ("5",)


def test_param_values_of_applications_are_those_that_the_roles_name() -> None:
    schema = {"type": "object", "properties": {"application": {"x-values": "applications"}}}
    for roles, slugs in ((None, 3), ({"planox2": ("liaison",)}, 1)):
        route = builders.route(schema=schema, roles=roles)
        [param] = documented_params(route, table_of(route))
        assert len(param.values) == slugs


def test_param_limits_are_phrases() -> None:
    schema = {"minLength": 2, "maxLength": 255, "minimum": 1, "format": "date", "pattern": "^a"}
    assert only(schema).limits == (
        "at least 2 characters",
        "at most 255 characters",
        "at least 1",
        "a valid date",
        "matches `^a`",
    )
    assert only({"minLength": 1, "pattern": "x", "x-message": "must be new"}).limits == ("new",)


def test_param_nested_keys_have_dotted_names_also_in_lists_and_references() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}
    for schema in (inner, {"type": "array", "items": inner}, {"$ref": "#/$defs/inner"}):
        [param] = params_of({"a": schema}, **{"$defs": {"inner": inner}})
        [key] = param.nested
        assert (key.name, key.type, key.required, key.order) == ("a.b", "string", True, None)


def test_param_of_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#/$defs/node"}}}
    [param] = params_of({"tree": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": node}})
    depth = 0
    while param.nested:
        [param] = param.nested
        depth += 1
    assert depth == 4


def test_example_takes_the_params_of_the_manifest() -> None:
    route = builders.route(documentation=Documentation(examples='{"params": {"b": 1, "a": 2}}'))
    example = examples.example(route, ())
    assert list(example.body) == ["b", "a"]
    assert example.target == "/api/v1/things/create"


def test_example_fills_the_path_and_the_query() -> None:
    schema = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "q": {"type": "string", "examples": ["a b"]}},
        "required": ["id", "q"],
    }
    route = builders.route("/things/{id:int}", method="GET", schema=schema)
    assert examples.example(route, ()).target == "/things/1?q=a+b"


def test_example_names_an_application_that_may_call() -> None:
    slugs = ("planoauth", "planoorder")
    param = {"x-values": "applications"}
    for own, expected in ((param, "planoauth"), ({**param, "examples": ["planox2"]}, "planox2")):
        schema = {"properties": {"application": own}, "required": ["application"]}
        route = builders.route(schema=schema)
        assert examples.example(route, slugs).body == {"application": expected}


def test_sample_of_alternatives_has_what_the_first_requires() -> None:
    schema = {
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["b"]}, {"required": ["a"]}],
    }
    assert sample(schema) == {"b": "example"}


def test_answer_of_an_example_has_the_envelope_of_the_route() -> None:
    documentation = Documentation(examples='{"returns": {"count": 5}}')
    plano = builders.route(documentation=documentation)
    assert examples.example_answer(plano)["data"] == {"count": 5}
    shoplo = builders.route(documentation=documentation, envelope="shoplo")
    assert examples.example_answer(shoplo) == {"count": 5}


@pytest.mark.parametrize("title", ["curl", "Python", "JavaScript"])
def test_snippet_of_a_public_route_needs_no_token(title: str) -> None:
    route = builders.route(auth=frozenset())
    [snippet] = [s for s in snippets(examples.example(route, ()), ORIGIN) if s.title == title]
    assert "TOKEN" not in snippet.code
    assert f"{ORIGIN}/api/v1/things/create" in snippet.code


def test_page_names_the_limits_of_a_route_as_the_manifest_writes_them() -> None:
    route = builders.route(timeout=0.25, max_body=512 * 1024, idempotency="required")
    rules = dict(route_page(route, table_of(route), ORIGIN).rules)
    assert rules["Timeout"] == "250ms"
    assert rules["Largest body"] == "512KiB"
    assert rules["Idempotency-Key"].startswith("required")


def test_inline_text_has_code_and_nothing_else_of_html() -> None:
    assert str(render.inline("`a` <b> [x](javascript:y)")) == (
        "<code>a</code> &lt;b&gt; [x](javascript:y)"
    )


def test_manifest_page_has_every_key_of_the_schema_with_a_type() -> None:
    sections = {section.anchor: section.rows for section in manifest_keys()}
    assert {"returns", "examples", "deprecated"} <= {key.name for key in sections["route"]}
    assert all(key.type for rows in sections.values() for key in rows)
    [timeout] = [key for key in sections["route"] if key.name == "timeout"]
    assert (timeout.default, timeout.required) == ("10s", False)


def many(count: int) -> SearchIndex:
    return SearchIndex(
        table_of(
            *(
                builders.route(f"/api/v1/things/create{i}", name=f"things.create{i}")
                for i in range(count)
            )
        )
    )


def test_search_lists_the_first_hundred_and_counts_all() -> None:
    results = many(250).search("create")
    assert (len(results.routes), results.total) == (100, 250)


def test_search_wants_every_word() -> None:
    index = many(20)
    assert index.search("create7 post").total == 1
    assert index.search("create7 create8").total == 0
    assert index.search("").total == 0


def test_search_stops_to_count_after_a_thousand() -> None:
    assert many(1200).search("create").total == 1000
