"""Where a refusal says what it means: `help`, and the headers of a route that is going away."""

from typing import Any

from support.harness import Client, serving
from support.probe import actions, apply_probe

CREATE = "/documentation/api/v1/order_stages/create"
STATUS = "/documentation/services/statuses/%7Bid%3Aint%7D"
STATUSES = "/documentation/statuses"


async def test_help_names_the_route_s_page_and_the_status(client: Client) -> None:
    assert "help" not in (await client.create_stage(order_id=7)).json()
    refusal = (await client.create_stage(order_id=7, stage=...)).json()
    assert list(refusal)[-2:] == ["request_id", "help"]
    assert refusal["help"] == f"{CREATE}#status.missing-param"


async def test_help_of_a_shared_path_names_the_method(client: Client) -> None:
    bearer = {"Authorization": f"Bearer {client.tokens['employee']}"}
    in_use = await client.request("DELETE", "/services/statuses/2", headers=bearer)
    assert list(in_use.json())[-2:] == ["request_id", "help"]
    assert in_use.json()["help"] == f"{STATUS}?method=DELETE#status.status-in-use"
    shown = await client.get_page(in_use.json()["help"])
    assert 'id="status.status-in-use"' in shown.text


async def test_help_without_a_route_is_the_page_of_statuses(client: Client) -> None:
    for path in ("/api/v1/unknown", "/services/unknown"):
        refusal = (await client.post(path, {})).json()
        assert refusal["help"] == f"{STATUSES}#status.route-non-existent"


async def test_help_of_an_overload_is_the_page_of_statuses(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        client.worker.pipeline.admission.in_flight = 10**6
        refusal = (await client.create_stage(order_id=7)).json()
    assert refusal["help"] == f"{STATUSES}#status.service-unavailable"


async def test_help_of_an_undocumented_route_is_the_page_of_statuses(probe: Client) -> None:
    refusal = (await probe.post("/api/v1/probe/old", {"token": "x"})).json()
    assert refusal["help"] == f"{STATUSES}#status.invalid-token"


async def test_help_is_absent_without_documentation(database: str, tokens: dict[str, str]) -> None:
    await apply_probe(database)
    options: dict[str, Any] = {"actions": actions(), "documentation": "off"}
    async with serving(database, tokens, **options) as client:
        for path in ("/api/v1/probe/echo", "/services/probe", "/services/unknown", "/unknown"):
            refusal = await client.post(path, {"token": "x"})
            assert refusal.status_code >= 400
            assert "help" not in refusal.json()


async def test_deprecated_route_says_so_on_each_answer(probe: Client) -> None:
    # RFC 9745 has seconds since 1970, RFC 8594 a date of HTTP.
    deprecation, sunset = "@1796083200", "Wed, 01 Dec 2027 00:00:00 GMT"
    for token in (probe.tokens["employee"], "unknown"):
        answer = await probe.post("/api/v1/probe/old", {"token": token})
        headers = answer.headers
        assert (headers["deprecation"], headers["sunset"]) == (deprecation, sunset)
        answer = await probe.post("/services/old_probe", {"token": token})
        assert answer.headers["deprecation"] == deprecation
        assert "sunset" not in answer.headers
    usual = await probe.post("/api/v1/probe/echo", {"token": probe.tokens["employee"]})
    assert not {"deprecation", "sunset"} & set(usual.headers)
