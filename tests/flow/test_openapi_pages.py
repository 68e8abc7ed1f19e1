"""The pages of OpenAPI: documents, their browser, and the answers that they promise."""

from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from support.harness import Client, on, serving, until

from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.pages import assets, swagger_ui

SERVICES = [
    "appointments",
    "clients",
    "order_stages",
    "order_statuses",
    "sessions",
    "statuses",
    "users",
]

MANIFEST = """
version: 1
namespace: more
services: {things: {kind: python, deployed: true, title: Things}}
routes:
  things.create: {method: POST, deployed: true, title: T, auth: [session], params: {}}
"""


async def get(client: Client, path: str, code: int = 200, **headers: str) -> httpx2.Response:
    answer = await client.get_page(path, **headers)
    assert answer.status_code == code
    return answer


async def test_every_service_has_a_document(client: Client) -> None:
    whole = await get(client, "/openapi.json")
    assert whole.headers["content-type"] == "application/json"
    assert [tag["name"] for tag in whole.json()["tags"]] == SERVICES
    for service in SERVICES:
        one = await get(client, f"/openapi/{service}.json")
        assert [tag["name"] for tag in one.json()["tags"]] == [service]
        assert (await get(client, f"/openapi.json?service={service}")).content == one.content


async def test_unknown_service_is_refused_as_json_with_those_that_exist(client: Client) -> None:
    for path in ("/openapi/session.json", "/openapi.json?service=session"):
        answer = await get(client, path, 404)
        message = answer.json()["message"]
        assert message.startswith("unknown service (did you mean sessions?); services: appoint")


async def test_document_that_a_client_has_is_not_sent_again(client: Client) -> None:
    first = await get(client, "/openapi.json")
    tag = first.headers["etag"]
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await get(client, "/openapi.json", 304, if_none_match=header)
        assert (answer.content, answer.headers["etag"]) == (b"", tag)
    for header in ('"other"', tag.strip('"')):
        await get(client, "/openapi.json", if_none_match=header)
    assert first.headers["cache-control"] == "no-cache"


async def test_applied_route_is_in_the_document(
    client: Client, database: str, tmp_path: Path
) -> None:
    tag = (await get(client, "/openapi.json")).headers["etag"]
    file = tmp_path / "routes.yaml"
    file.write_text(MANIFEST)
    [desired] = check(file)
    applied = await on(database, lambda db: apply(db, desired, Author("tests")))
    registry = client.worker.registry
    await until(lambda: registry.current and registry.current.revision == applied.revision)
    changed = await get(client, "/openapi.json", if_none_match=tag)
    assert "/api/v1/things/create" in changed.json()["paths"]
    await get(client, "/openapi/things.json")


async def test_document_needs_no_database(client: Client) -> None:
    for pool in client.worker._pools:
        await pool.close()
    await get(client, "/openapi.json")


async def test_answers_fit_the_document(client: Client) -> None:
    found = (await get(client, "/openapi.json")).json()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/v1/order_stages/create", {"json": {"order_id": 7, "update_status": True}}),
        ("POST", "/api/v1/order_stages/index", {"json": {}}),
        ("POST", "/api/v1/sessions/create", {"content": b"-"}),
        ("GET", "/services/statuses", {}),
        ("GET", "/services/statuses?limit=many", {}),
        ("GET", "/services/statuses/count", {}),
    ]
    codes = set()
    for method, path, options in calls:
        for caller in ("employee", "nobody", ""):
            token = client.tokens.get(caller, "unknown")
            headers = {"authorization": f"Bearer {token}"}
            answer = await client._http.request(method, path, headers=headers, **options)
            codes.add(answer.status_code)
            operation = found["paths"][path.partition("?")[0]][method.lower()]
            response = operation["responses"][str(answer.status_code)]
            while "$ref" in response:
                response = found["components"]["responses"][response["$ref"].split("/")[-1]]
            schema = response["content"]["application/json"]["schema"]
            whole = {**schema, "components": found["components"]}
            jsonschema_rs.Draft202012Validator(whole).validate(answer.json())
    assert codes >= {200, 400, 401}


async def test_reference_browses_one_service_from_this_host_alone(client: Client) -> None:
    first = await get(client, "/documentation/reference")
    assert 'data-document="/openapi/appointments.json"' in first.text
    chosen = await get(client, "/documentation/reference?service=users")
    assert 'data-document="/openapi/users.json"' in chosen.text
    assert "<option selected>users</option>" in chosen.text
    unknown = await get(client, "/documentation/reference?service=%3Cscript%3E")
    assert 'data-document="/openapi/appointments.json"' in unknown.text
    policy = first.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "reference.js", "reference.css"):
        assert assets.url(name) in first.text
        file = await get(client, assets.url(name))
        assert "immutable" in file.headers["cache-control"]


async def test_reference_without_its_package_names_the_extra(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swagger_ui, "files", dict)
    shown = await get(client, "/documentation/reference")
    assert "plano-gateway[reference]" in shown.text
    assert "data-document" not in shown.text


def test_files_of_an_absent_package_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(swagger_ui.files()) == {"swagger-ui.css", "swagger-ui-bundle.js"}
    for name in ("no_such_package", "gateway"):
        monkeypatch.setattr(swagger_ui, "PACKAGE", name)
        assert swagger_ui.files.__wrapped__() == {}


async def test_documentation_off_hides_the_documents(database: str, tokens: dict[str, str]) -> None:
    async with serving(database, tokens, documentation="off") as client:
        for path in ("/openapi.json", "/openapi/users.json", "/documentation/reference"):
            answer = await client.get_page(path)
            assert answer.json()["status"] == "route-non-existent"


async def test_gateway_without_a_registry_has_no_document(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker follows the database, and would serve a table again at its next poll.
    never = property(lambda _: None, lambda *_: None)
    monkeypatch.setattr(type(client.worker.registry), "current", never, raising=False)
    assert "no registry" in (await get(client, "/openapi.json", 503)).json()["message"]
    assert "No route is documented" in (await get(client, "/documentation/reference")).text
