"""The OpenAPI document of a registry: valid, complete, small, and true to the records."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.builders import APPLICATIONS, COMMON, route
from support.harness import ROOT

from gateway import statuses
from gateway.manifest.check import check
from gateway.manifest.desired_table import table_of
from gateway.pages.openapi.document import documented_services, openapi
from gateway.registry.documentation import Documentation
from gateway.registry.records import Route, Service
from gateway.registry.schema import ParamSchema, interned
from gateway.registry.schema.shape import resolve_ref
from gateway.registry.table import Match, Table
from gateway.stages import respond
from gateway.stages.respond import Trace
from gateway.values import Rejection, Reply, Request, Valid

MAX_BYTES = 2_000_000
SERVICES = [Service("things", "python", deployed=True, title="Things")]
REQUEST = Request("request-1", "GET", b"/", b"", {}, "", 0.0)


@pytest.fixture(scope="module")
def project() -> Table:
    """The table of this project's manifest."""
    return table_of(check(ROOT / "routes.yaml"))


def document(*routes: Route, service: str | None = None) -> dict[str, Any]:
    """The document of these routes."""
    return openapi(Table(7, SERVICES, routes, APPLICATIONS), service)


def operations(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations by their id."""
    items = (item for path in found["paths"].values() for item in path.values())
    return {operation["operationId"]: operation for operation in items}


def only(*routes: Route) -> dict[str, Any]:
    """The operation of a document with one."""
    [operation] = operations(document(*routes)).values()
    return operation


def resolved(part: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A part, or the component that it refers to."""
    target: dict[str, Any] = resolve_ref(part["$ref"], found) if "$ref" in part else part
    return target


def refs(value: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        yield from (value["$ref"],) if isinstance(value.get("$ref"), str) else ()
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from refs(child)


def body_schema(found: dict[str, Any], name: str = "things.create") -> dict[str, Any]:
    """The schema of the JSON body of an operation."""
    content = operations(found)[name]["requestBody"]["content"]
    return resolved(content["application/json"]["schema"], found)


def fits(schema: dict[str, Any], value: Any, found: dict[str, Any]) -> bool:
    """Whether a value fits a schema of a document."""
    whole = {**schema, "components": found["components"]}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(value)


def answer_fits(operation: dict[str, Any], code: int, body: Any, found: dict[str, Any]) -> bool:
    """Whether an answer is one that an operation documents."""
    response = resolved(operation["responses"][str(code)], found)
    return fits(response["content"]["application/json"]["schema"], body, found)


def test_document_of_this_project_is_valid_openapi(project: Table) -> None:
    found = json.loads(orjson.dumps(openapi(project)))
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []


def test_every_reference_leads_to_a_part_of_its_document(project: Table) -> None:
    for service in (None, *documented_services(project)):
        found = openapi(project, service)
        targets = set(refs(found))
        assert len(targets) > 10
        for ref in targets:
            resolve_ref(ref, found)


def test_document_has_every_documented_route_once(project: Table) -> None:
    found = openapi(project)
    assert operations(found).keys() == set(project.routes)
    assert {tag["name"] for tag in found["tags"]} == set(documented_services(project))
    parts = [operations(openapi(project, service)) for service in documented_services(project)]
    assert sum(map(len, parts)) == len(project.routes)


def many(project: Table, count: int) -> Iterator[Route]:
    """Routes like those of this project, each with a name, a path and a title of its own."""
    routes = list(project.routes.values())
    for index in range(count):
        original, number = routes[index % len(routes)], index // len(routes)
        service, _, action = original.name.partition(".")
        yield replace(
            original,
            name=f"{service}_{number}.{action}",
            handler=f"{service}_{number}.{action}",
            service=f"{service}_{number}",
            path=f"/v{number}{original.path}",
            title=f"{original.title} {number}",
        )


def test_document_of_a_thousand_operations_is_under_two_megabytes(project: Table) -> None:
    table = Table(1, (), many(project, 1000), project.applications.values())
    found = openapi(table)
    assert len(operations(found)) == 1000
    assert len(orjson.dumps(found)) < MAX_BYTES


def distinct(count: int) -> Iterator[Route]:
    """Routes that share no schema: each has a param and a key of its answer of its own."""
    for index in range(count):
        text = {"type": "string", "maxLength": 255, "description": f"Note of thing {index}."}
        params = {"order_id": {"type": "integer", "x-order": 1}, f"note_{index}": text}
        answer = {"id": {"type": "integer"}, f"note_{index}": {"type": ["string", "null"]}}
        yield replace(
            route(
                f"/api/v1/things/create_{index}",
                name=f"things.create_{index}",
                schema={
                    "type": "object",
                    "required": ["order_id"],
                    "properties": {**params, **COMMON},
                },
                title=f"Create thing {index}",
            ),
            returns=interned(json.dumps({"type": "object", "properties": answer})),
        )


def test_document_of_a_thousand_distinct_operations_is_under_two_megabytes() -> None:
    found = document(*distinct(1000))
    assert len(operations(found)) == 1000
    bodies = {orjson.dumps(body_schema(found, name)) for name in operations(found)}
    assert len(bodies) == 1000
    assert len(orjson.dumps(found)) < MAX_BYTES


def test_components_are_what_operations_share() -> None:
    found = document(*distinct(3))
    uses = Counter(refs(list(found["paths"].values())))
    for section in ("parameters", "responses"):
        names = [f"#/components/{section}/{name}" for name in found["components"].get(section, {})]
        assert all(uses[name] > 1 for name in names)
    assert uses["#/components/responses/400"] == 3


def test_equal_tables_have_equal_documents_whatever_the_order_of_their_routes(
    project: Table,
) -> None:
    routes = list(project.routes.values())
    one, other = (
        Table(1, project.services.values(), ordered, project.applications.values())
        for ordered in (routes, routes[::-1])
    )
    assert orjson.dumps(openapi(one)) == orjson.dumps(openapi(other))


@pytest.mark.parametrize("envelope", respond.ENVELOPES)
def test_every_refusal_of_the_gateway_fits_its_response(envelope: str) -> None:
    own = statuses.route_statuses({"too-late": (409, "Late."), "odd": (400, "Odd.")})
    asked = route(envelope=envelope, statuses={**statuses.COMMON, **own})
    found = document(asked)
    operation = operations(found)["things.create"]
    matches = {True: Match(asked, {}, Table(1)), False: None}
    for slug, status in asked.statuses.items():
        if slug == statuses.ACTION_SUCCESSFUL:
            continue
        # Before the route is known, a refusal has the Plano envelope.
        known = (True, False) if status.stage in {"edge, match", "match", "any"} else (True,)
        for is_known in (False,) if status.stage == "edge" else known:
            for errors in ((), (Rejection.error("token", "missing"),)):
                trace = Trace(match=matches[is_known])
                rejection = Rejection(slug, errors=errors)
                body = orjson.loads(respond.refusal(rejection, REQUEST, trace).body)
                assert answer_fits(operation, status.http, body, found), (slug, body)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (400, {"code": 400, "status": "invalid-token", "message": "m", "request_id": "r"}),
        (400, {"code": 401, "status": "missing-param", "message": "m", "request_id": "r"}),
        (401, {"code": 401, "status": "invalid-token", "request_id": "r"}),
        (409, {"code": 409, "status": "unknown", "message": "m", "request_id": "r"}),
    ],
    ids=["slug of another code", "another code", "without message", "unknown slug"],
)
def test_answer_that_the_gateway_never_gives_does_not_fit(code: int, body: dict[str, Any]) -> None:
    found = document(route())
    assert not answer_fits(operations(found)["things.create"], code, body, found)


def test_examples_of_answers_fit_their_schemas(project: Table) -> None:
    found = openapi(project)
    for response in found["components"]["responses"].values():
        content = response["content"]["application/json"]
        values = [example["value"] for example in content.get("examples", {}).values()]
        values += [content["example"]] if "example" in content else []
        for value in values:
            assert fits(content["schema"], value, found), value


def test_success_has_the_schema_of_what_the_route_returns() -> None:
    returns = ParamSchema('{"type": "object", "required": ["id"], "properties": {"id": {}}}')
    for envelope in respond.ENVELOPES:
        asked = route(envelope=envelope, returns=returns)
        found = document(asked)
        operation = operations(found)["things.create"]
        valid = Valid({}, (), "", "")
        for data, is_documented in (({"id": 1}, True), ({}, False), (None, False)):
            match = Match(asked, {}, Table(1))
            response = respond.success(Reply(data), valid, None, match)  # type: ignore[arg-type]
            body = orjson.loads(response.body)
            assert answer_fits(operation, 200, body, found) == is_documented, (envelope, data)


def test_response_names_each_status_of_its_code_the_own_ones_first() -> None:
    own = statuses.route_statuses({"odd": (400, "Odd.")})
    found = document(route(statuses={**statuses.COMMON, **own}))
    responses = operations(found)["things.create"]["responses"]
    assert sorted(responses) == sorted({str(s.http) for s in statuses.catalogue()})
    lines = resolved(responses["400"], found)["description"].splitlines()
    assert lines[0] == "- `odd`: Odd."
    assert "`missing-param`" in lines[-1]
    described = resolved(responses["401"], found)["description"]
    assert f"- `session-expired`: {statuses.COMMON['session-expired'].meaning}" in described


def test_sensitive_route_takes_base64_of_its_params() -> None:
    schema = {"type": "object", "required": ["secret"], "properties": {"secret": {}, **COMMON}}
    found = document(route(sensitive_params=True, schema=schema, auth=frozenset()))
    operation = operations(found)["things.create"]
    assert operation["x-sensitive-params"] is True
    content = operation["requestBody"]["content"]
    assert set(content) == {"text/plain", "application/octet-stream"}
    # The generator openapi-python-client sends only a binary body as it is.
    assert content["application/octet-stream"]["schema"]["format"] == "binary"
    for media in content.values():
        assert media["schema"]["contentEncoding"] == "base64"
        assert media["schema"]["contentMediaType"] == "application/json"
        _, own = resolved(media["schema"]["contentSchema"], found)["allOf"]
        assert own["required"] == ["secret"]


def test_security_is_a_token_and_none_for_a_public_route() -> None:
    assert document(route())["security"] == [{"token": []}]
    assert "security" not in only(route())
    assert only(route(auth=frozenset()))["security"] == []


def test_deprecated_route_says_so_with_its_days() -> None:
    days = Documentation(deprecated="2026-11-01", sunset="2027-11-01", description="Old.")
    operation = only(route(documentation=days))
    assert operation["deprecated"] is True
    assert (operation["x-deprecated"], operation["x-sunset"]) == ("2026-11-01", "2027-11-01")
    assert operation["description"] == "Old."
    assert {"deprecated", "x-sunset", "x-deployed"}.isdisjoint(only(route()))


def test_route_that_is_not_deployed_says_so() -> None:
    assert only(route(deployed=False))["x-deployed"] is False


def test_undocumented_route_is_left_out() -> None:
    found = document(route(documentation=Documentation(documented=False)))
    assert (found["paths"], found["tags"]) == ({}, [])
    assert documented_services(Table(1, SERVICES, [])) == []


def test_idempotency_key_is_a_header_of_the_routes_that_take_one() -> None:
    for idempotency, required in (("optional", False), ("required", True)):
        found = document(route(idempotency=idempotency))
        [key] = operations(found)["things.create"]["parameters"]
        header = resolved(key, found)
        assert (header["name"], header["in"]) == ("Idempotency-Key", "header")
        assert header["required"] is required
    assert "parameters" not in only(route())
