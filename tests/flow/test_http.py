"""HTTP around the statuses: headers, methods, CORS, encodings, and the params of a service."""

import asyncio
from typing import Any

import pytest
from support.harness import Client, serving, until
from support.probe import actions, apply_probe

CREATE = "/api/v1/order_stages/create"
ECHO = "/api/v1/probe/echo"


def bearer(client: Client, caller: str = "employee") -> dict[str, str]:
    return {"authorization": f"Bearer {client.tokens[caller]}"}


async def params_of(client: Client, **options: Any) -> Any:
    """The params that the service received with a request to the probe."""
    headers = {**bearer(client), **options.pop("headers", {})}
    response = await client.request("POST", ECHO, headers=headers, **options)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def test_answers_have_the_documented_headers(client: Client) -> None:
    for response in (
        await client.create_stage(order_id=7),
        await client.create_stage(order_id=4711),
        await client.post("/nowhere"),
    ):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-registry-revision"] == "1"


@pytest.mark.parametrize(("sent", "used"), [("a.B-9_", True), ("x" * 65, False), ("a b", False)])
async def test_request_id_of_the_client_is_used_if_it_is_valid(
    client: Client, *, sent: str, used: bool
) -> None:
    response = await client.post("/nowhere", headers={"x-request-id": sent})
    assert (response.headers["x-request-id"] == sent) == used
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_head_answers_like_get_without_a_body(probe: Client) -> None:
    get = await probe.request("GET", "/probe/7", headers=bearer(probe))
    head = await probe.request("HEAD", "/probe/7", headers=bearer(probe))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert (await probe.request("HEAD", "/nowhere")).status_code == 500


async def test_path_param_wins_over_body_and_query(probe: Client) -> None:
    response = await probe.request(
        "GET", "/probe/7?number=1", json={"number": 2}, headers=bearer(probe)
    )
    assert response.json()["data"] == {"number": 7}
    response = await probe.request("GET", "/probe/9223372036854775808", headers=bearer(probe))
    assert response.json()["status"] == "invalid-param"


async def test_query_and_form_values_are_converted_to_the_schema_type(probe: Client) -> None:
    query = "number=7&amount=1.5&flag=1&text=12&ids[]=1&ids[]=2&inner[number]=3&free[a]=b"
    expected = {
        "number": 7,
        "amount": 1.5,
        "flag": True,
        "text": "12",
        "ids": [1, 2],
        "inner": {"number": 3},
        "free": {"a": "b"},
    }
    assert await params_of(probe, params=query) == expected
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert await params_of(probe, content=query, headers=form) == expected


async def test_json_values_are_not_converted(probe: Client) -> None:
    assert await params_of(probe, json={"number": 12.0, "amount": 3}) == {"number": 12, "amount": 3}
    for value in ("12", 12.5, 2**63, -(2**63), 2**64, 1e300, True):
        response = await probe.post(ECHO, {"number": value}, headers=bearer(probe))
        assert response.json()["status"] == "invalid-param", value
    assert await params_of(probe, json={"number": 2**63 - 1}) == {"number": 2**63 - 1}


async def test_body_param_wins_over_query_and_is_not_converted(probe: Client) -> None:
    assert await params_of(probe, params={"number": "1"}, json={"number": 2}) == {"number": 2}
    response = await probe.post(f"{ECHO}?number=1", {"number": "2"}, headers=bearer(probe))
    assert response.json()["status"] == "invalid-param"


async def test_unknown_params_are_dropped_and_listed_in_a_header(probe: Client) -> None:
    params = {"nunber": 1, "inner": {"number": 1, "tpye": 2}, "free": {"kept": 1}, "a\nb": 1}
    response = await probe.post(ECHO, params, headers=bearer(probe))
    assert response.json()["data"] == {"inner": {"number": 1}, "free": {"kept": 1}}
    assert response.headers["x-ignored-params"] == "nunber, inner.tpye, +1"


async def test_common_params_are_hidden_from_the_service(probe: Client) -> None:
    params = {"number": 1, "token": probe.tokens["employee"], "session_view": "default"}
    response = await probe.post(ECHO, params)
    assert response.json()["data"] == {"number": 1}
    assert "x-ignored-params" not in response.headers


async def test_nul_is_refused_in_every_param(probe: Client) -> None:
    for params in ({"text": "a\0b"}, {"free": {"a": ["\0"]}}, {"free": {"\0": 1}}):
        response = await probe.post(ECHO, params, headers=bearer(probe))
        assert response.json()["status"] == "invalid-param"
    response = await probe.request("POST", f"{ECHO}?text=a%00b", headers=bearer(probe))
    assert response.json()["status"] == "invalid-param"
    assert await params_of(probe, json={"text": "\\u0000"}) == {"text": "\\u0000"}


async def test_token_sent_twice_must_be_the_same(client: Client) -> None:
    path, params = CREATE, {"order_id": 7, "update_status": True, "stage": "a"}
    same = {**params, "token": client.tokens["employee"]}
    assert (await client.post(path, same, headers=bearer(client))).status_code == 200
    other = {**params, "token": client.tokens["liaison"]}
    response = await client.post(path, other, headers=bearer(client))
    assert response.json()["status"] == "invalid-token"
    query = f"{path}?token={client.tokens['employee']}"
    assert (await client.post(query, params)).status_code == 200


async def test_chunked_body_beyond_the_limit_is_refused(probe: Client) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b" " * 100

    response = await probe.request("POST", "/api/v1/probe/small", content=chunks())
    assert (response.status_code, response.json()["status"]) == (413, "payload-too-large")


async def test_shoplo_envelope_has_its_own_keys_and_codes(probe: Client) -> None:
    path = "/services/probe"
    response = await probe.post(path, {"text": "a"}, headers=bearer(probe))
    assert response.json() == {"text": "a"}
    refused = (await probe.post(path, {"text": "a", "token": "x"})).json()
    assert list(refused) == [
        *("status", "error", "error_msg", "code", "errors", "request_id", "help"),
    ]
    assert (refused["status"], refused["error"], refused["code"]) == ("err", "202", 401)
    expired = (await probe.post(path, {"text": "a"}, headers=bearer(probe, "expired"))).json()
    assert (expired["error"], expired["code"]) == ("251", 401)
    missing = (await probe.post(path, {"x": "a"}, headers=bearer(probe))).json()
    assert (missing["error"], missing["code"]) == ("missing-param", 400)
    assert missing["errors"] == [{"attr": "text", "message": "missing"}]


async def test_options_lists_the_methods_of_a_path(client: Client) -> None:
    response = await client.request("OPTIONS", CREATE)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "POST, OPTIONS"


async def test_cors_admits_only_the_configured_origins(database: str, tokens: Any) -> None:
    origins = "https://app.example.com, https://shop.example.com"
    async with serving(database, tokens, cors_origins=origins) as client:
        for origin, admitted in (
            ("https://shop.example.com", True),
            ("https://evil.example.com", False),
        ):
            for response in (
                await client.request("OPTIONS", CREATE, headers={"origin": origin}),
                await client.post(CREATE, {"a": 1}, headers={"origin": origin}),
            ):
                allowed = response.headers.get("access-control-allow-origin")
                assert allowed == (origin if admitted else None)
                assert response.headers["vary"] == "Origin"
                exposed = response.headers.get("access-control-expose-headers", "")
                assert ("X-Request-Id" in exposed) == admitted


async def test_requests_beyond_max_in_flight_are_refused(database: str, tokens: Any) -> None:
    await apply_probe(database)
    async with serving(database, tokens, actions=actions(), max_in_flight="2") as client:
        waiting = [
            asyncio.create_task(client.post("/api/v1/probe/late", {"a": 1}, headers=bearer(client)))
            for _ in range(2)
        ]
        await until(lambda: client.worker.pipeline.admission.in_flight == 2)
        response = await client.create_stage(order_id=7)
        assert (response.status_code, response.json()["status"]) == (503, "service-unavailable")
        assert response.headers["retry-after"] == "1"
        await asyncio.gather(*waiting)
        assert (await client.create_stage(order_id=7)).status_code == 200


async def test_unknown_gateway_paths_are_answered_in_the_envelope(client: Client) -> None:
    for method, path in (("GET", "/-/nothing"), ("POST", "/-/live"), ("POST", "/documentation")):
        response = await client.request(method, path)
        assert (response.status_code, response.json()["status"]) == (500, "route-non-existent")
