"""Every documented status is reached by a request; no status may lack a case."""

import asyncio
import base64
from typing import Any, NamedTuple

import orjson
import pytest
from support.harness import Client, serving, until
from support.probe import SECRET

from gateway import statuses
from gateway.database.connect import connect

CREATE = "/api/v1/order_stages/create"


class Case(NamedTuple):
    """A request with the token of a demo caller (None: without a token), and its answer."""

    slug: str
    http: int
    what: str
    path: str
    params: Any = None
    caller: str | None = "employee"
    method: str = "POST"
    options: dict[str, Any] | None = None


STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled"}
JSON = {"content-type": "application/json"}


def raw(body: bytes, content_type: str | None = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"content-type": content_type} if content_type else {}}


def coded(params: object) -> dict[str, Any]:
    return raw(base64.b64encode(orjson.dumps(params)), "text/plain")


P = "/api/v1/probe"
CASES = [
    Case("action-successful", 200, "a session", CREATE, STAGE),
    Case("action-successful", 200, "an application", CREATE, STAGE, "application"),
    Case("action-successful", 200, "a public route", f"{P}/public", {"number": 1}, None),
    Case("route-non-existent", 500, "an unknown path", "/api/v1/order_stages/nothing", STAGE),
    Case("route-non-existent", 500, "another method", CREATE, None, None, "GET"),
    Case("route-non-existent", 500, "a trailing slash", f"{CREATE}/", STAGE),
    Case("route-non-existent", 500, "an unknown method", CREATE, None, None, "BREW"),
    Case("route-non-existent", 500, "OPTIONS on no route", "/nothing", None, None, "OPTIONS"),
    Case("payload-too-large", 413, "beyond a route's limit", f"{P}/small", {"text": "x" * 200}),
    Case("payload-too-large", 413, "more than 1 MiB", f"{P}/echo", {"text": "x" * 2**20}),
    Case("invalid-content-type", 400, "no content type", CREATE, options=raw(b"{}", None)),
    Case(
        "invalid-content-type",
        400,
        "a wrong content type",
        CREATE,
        options=raw(b"{}", "text/plain"),
    ),
    Case("invalid-encoded-params", 400, "not JSON", CREATE, options=raw(b"{nonsense")),
    Case("invalid-encoded-params", 400, "not UTF-8", CREATE, options=raw(b'{"a": "\xff"}')),
    Case(
        "invalid-encoded-params",
        400,
        "plain JSON on a sensitive route",
        f"{P}/secret",
        {"text": "a"},
    ),
    Case(
        "invalid-encoded-params",
        400,
        "not base64",
        f"{P}/secret",
        options=raw(b"%%%%", "text/plain"),
    ),
    Case("no-params-decoded", 400, "an empty object", CREATE, {}, None),
    Case("no-params-decoded", 400, "a list", CREATE, [1], None),
    Case("no-params-decoded", 400, "an empty sensitive body", f"{P}/secret", None, None),
    Case("no-params-decoded", 400, "a sensitive scalar", f"{P}/secret", options=coded(7)),
    Case("route-not-found", 500, "not deployed", "/api/v1/order_stages/index", {"order_id": 7}),
    Case(
        "service-not-found",
        500,
        "service not deployed",
        "/api/v1/appointments/create",
        {"order_id": 7},
    ),
    Case("missing-param", 400, "no token", CREATE, STAGE, None),
    Case("missing-param", 400, "a null token", CREATE, {**STAGE, "token": None}, None),
    Case("missing-param", 400, "an empty token", CREATE, {**STAGE, "token": ""}, None),
    Case("missing-param", 400, "no stage", CREATE, {"order_id": 7, "update_status": True}),
    Case("missing-param", 400, "no order id", CREATE, {"stage": "a", "update_status": True}),
    Case(
        "invalid-token", 401, "unknown", CREATE, {**STAGE, "token": "plano_ses_" + "x" * 43}, None
    ),
    Case("invalid-token", 401, "not a token", CREATE, {**STAGE, "token": "hello"}, None),
    Case("invalid-token", 401, "not text", CREATE, {**STAGE, "token": 7}, None),
    Case(
        "invalid-token",
        401,
        "of a user, for applications only",
        f"{P}/machines_only",
        {"number": 1},
    ),
    Case("session-expired", 401, "eight days old", CREATE, STAGE, "expired"),
    Case("client-required", 401, "a user without a record", CREATE, STAGE, "nobody"),
    Case(
        "session-required", 400, "an application", f"{P}/users_only", {"number": 1}, "application"
    ),
    Case("permission-denied", 403, "a role not allowed", CREATE, STAGE, "client"),
    Case(
        "permission-denied",
        403,
        "a role that the route does not list",
        CREATE,
        STAGE,
        "client",
    ),
    Case(
        "permission-denied",
        403,
        "another application's slug",
        CREATE,
        {**STAGE, "application": "planox2"},
        "application",
    ),
    Case("invalid-param", 400, "a wrong type", CREATE, {**STAGE, "order_id": "7"}),
    Case("invalid-param", 400, "an unknown row", CREATE, {**STAGE, "order_id": 4711}),
    Case(
        "invalid-param", 400, "an unknown application", CREATE, {**STAGE, "application": "planox9"}
    ),
    Case("invalid-param", 400, "an unknown view", CREATE, {**STAGE, "session_view": "everything"}),
    Case(
        "mandrill-email-failed",
        500,
        "mail that cannot be sent",
        CREATE,
        {**STAGE, "event_slug": "stage-changed"},
    ),
    Case("service-timeout", 504, "before the database", f"{P}/slow", {"number": 1}),
    Case("service-unavailable", 503, "a slow database", f"{P}/late", {"number": 1}),
    Case("application-crash", 500, "an exception", f"{P}/crash", {"number": 1}),
    Case(
        "application-crash",
        500,
        "a status that the route does not list",
        f"{P}/stray",
        {"number": 1},
    ),
    Case("probe-refused", 422, "a status of the route", f"{P}/own", {"number": 1}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.slug}, {case.what}")
async def test_status_is_reached_by_its_request(probe: Client, case: Case) -> None:
    options = dict(case.options or {})
    if case.params is not None:
        options["json"] = case.params
    headers = dict(options.pop("headers", {}))
    if case.caller:
        headers["authorization"] = f"Bearer {probe.tokens[case.caller]}"
    response = await probe.request(case.method, case.path, headers=headers, **options)
    assert (response.status_code, response.json()["status"]) == (case.http, case.slug)


async def test_identify_request_error_without_a_registry(
    postgres: object, tokens: dict[str, str]
) -> None:
    assert postgres
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    async with serving(nowhere, tokens) as client:
        response = await client.create_stage(order_id=7)
    assert (response.status_code, response.json()["status"]) == (500, "identify-request-error")


async def test_rate_limit_exceeded_beyond_the_limit_of_a_route(probe: Client) -> None:
    answers = [await probe.post(f"{P}/limited", {"number": 1}) for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == [
        "action-successful",
        "rate-limit-exceeded",
    ]
    assert answers[1].status_code == 429
    assert int(answers[1].headers["retry-after"]) > 0


async def test_idempotency_key_in_use_or_with_other_params_is_refused(client: Client) -> None:
    async def create(stage: str) -> tuple[int, str]:
        params = {"token": client.tokens["employee"], **STAGE, "stage": stage}
        answer = await client.post(CREATE, params, headers={"idempotency-key": "k"})
        return answer.status_code, answer.json()["status"]

    connection = await connect(client.database_url)
    async with connection.transaction():
        await connection.execute("select from order_requests where id = 1007 for update")
        first = asyncio.create_task(create("scheduled"))
        await until(lambda: client.worker.pool._in_use)
        await asyncio.sleep(0.1)
        assert await create("scheduled") == (409, "idempotency-conflict")
    assert await first == (200, "action-successful")
    assert await create("ready") == (422, "idempotency-mismatch")
    await connection.close()


def test_status_catalogue_is_covered_by_the_cases() -> None:
    tested_separately = {
        *("identify-request-error", "rate-limit-exceeded"),
        *("idempotency-conflict", "idempotency-mismatch"),
    }
    reached = {case.slug for case in CASES} | tested_separately
    # Those of the edge come before any route: see tests/process/test_edge.py.
    documented = {status.slug for status in statuses.catalogue() if status.stage != "edge"}
    assert not documented - reached


def test_status_cases_have_the_codes_of_the_catalogue() -> None:
    codes = {status.slug: status.http for status in statuses.catalogue()}
    wrong = [case for case in CASES if codes.get(case.slug, case.http) != case.http]
    assert not wrong


async def test_crash_details_go_to_the_log_and_not_to_the_caller(
    probe: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response = await probe.post(f"{P}/crash", {"token": probe.tokens["employee"]})
    assert SECRET not in response.text
    assert "RuntimeError" not in response.text
    [record] = [record for record in caplog.records if record.exc_info]
    assert response.json()["request_id"] in record.getMessage()
    assert "RuntimeError" in record.getMessage()


PRECEDENCE = [
    ("route-non-existent", "/nowhere", raw(b"{nonsense", None), None),
    ("payload-too-large", f"{P}/small", raw(b"{" * 300, None), None),
    ("invalid-content-type", "/api/v1/order_stages/index", raw(b"{nonsense", None), None),
    ("invalid-encoded-params", "/api/v1/order_stages/index", raw(b"{nonsense"), None),
    ("no-params-decoded", "/api/v1/order_stages/index", raw(b"[]"), None),
    ("route-not-found", "/api/v1/order_stages/index", raw(b'{"a": 1}'), None),
    ("service-not-found", "/api/v1/appointments/create", raw(b'{"a": 1}'), None),
    ("missing-param", CREATE, raw(b'{"stage": 7}'), None),
    ("invalid-token", CREATE, raw(b'{"stage": 7, "token": "x"}'), None),
    ("session-expired", CREATE, raw(b'{"stage": 7}'), "expired"),
    ("client-required", CREATE, raw(b'{"stage": 7, "application": "planox9"}'), "nobody"),
    ("session-required", f"{P}/users_only", raw(b'{"application": 7}'), "application"),
    ("permission-denied", CREATE, raw(b'{"stage": 7}'), "client"),
    ("missing-param", CREATE, raw(b'{"stage": 7}'), "employee"),
]


@pytest.mark.parametrize(("slug", "path", "options", "caller"), PRECEDENCE)
async def test_status_of_the_earliest_stage_wins(
    probe: Client, slug: str, path: str, options: dict[str, Any], caller: str | None
) -> None:
    headers = dict(options["headers"])
    if caller:
        headers["authorization"] = f"Bearer {probe.tokens[caller]}"
    response = await probe.request("POST", path, content=options["content"], headers=headers)
    assert response.json()["status"] == slug
