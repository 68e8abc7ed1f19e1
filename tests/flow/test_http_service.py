"""Services of `kind: http`: what is sent to them, and what their answers become."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import Client, execute, logged, until
from support.mail import notifications, wait_for_rows
from support.manifests import applied
from support.upstreams import (
    SECRET,
    VARIABLE,
    Arrival,
    Service,
    answers,
    desired,
    http_service,
    response,
    running,
    says,
    serving_tours,
)

from gateway.runtime import events

pytestmark = pytest.mark.usefixtures("tours_secret")

BOOK = "/api/v1/tours/book"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running(says({"booked": True})) as [service]:
        yield service


async def book(client: Client, caller: str = "employee", **options: Any) -> Any:
    headers = {"authorization": f"Bearer {client.tokens[caller]}", **options.pop("headers", {})}
    return await client.post(BOOK, {"city": "Denver"}, headers=headers, **options)


async def test_http_service_gets_the_params_and_the_caller_signed_and_no_token(
    tours: Client, service: Service
) -> None:
    answer = await book(tours, headers={"x-request-id": "request-7", "x-own": "kept back"})
    assert answer.json() == {"code": 200, "status": "action-successful", "data": {"booked": True}}
    [arrival] = service.arrivals
    arrival.verify()
    assert (arrival.method, arrival.path) == ("POST", "/tours/book")
    assert arrival.json == {
        "params": {"city": "Denver"},
        "caller": {
            "user_id": 1,
            "application": "planoorder",
            "application_id": None,
            "role": "employee",
            "address": "127.0.0.1",
            "first_name": "Ada",
            "last_name": "Fields",
            "email": "employee@example.com",
            "roles": ["employee"],
            "permissions": ["ops", "ops:act"],
        },
    }
    assert arrival.headers.keys() == {
        *("host", "content-type", "content-length", "x-request-id", "x-deadline-ms"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    }
    assert arrival.headers["host"] == service.url.removeprefix("http://")
    assert arrival.headers["x-request-id"] == "request-7"
    assert 0 < int(arrival.headers["x-deadline-ms"]) <= 500
    assert tours.tokens["employee"] not in repr(arrival)


async def test_http_service_learns_of_a_public_call_and_of_an_application(
    tours: Client, service: Service
) -> None:
    token = tours.tokens["application"]
    assert (await tours.post("/api/v1/tours/public", {"city": "X"})).status_code == 200
    assert (await tours.post("/api/v1/tours/machine", {"token": token})).status_code == 200
    public, machine = (arrival.json["caller"] for arrival in service.arrivals)
    assert set(public.values()) == {None, "127.0.0.1"}
    assert machine["application"] == "planoorder"
    assert machine["application_id"] is not None
    assert machine["user_id"] is machine["role"] is machine["email"] is None


async def test_http_service_gets_path_params_of_get_and_decoded_sensitive_params(
    tours: Client, service: Service
) -> None:
    headers = {"authorization": f"Bearer {tours.tokens['employee']}"}
    assert (await tours.request("GET", "/tours/7?city=X", headers=headers)).status_code == 200
    secret = base64.b64encode(orjson.dumps({"city": "Y"}))
    sent = await tours.request("POST", "/api/v1/tours/secret", content=secret, headers=headers)
    assert sent.status_code == 200
    assert [arrival.json["params"] for arrival in service.arrivals] == [
        {"id": 7, "city": "X"},
        {"city": "Y"},
    ]
    assert [arrival.path for arrival in service.arrivals] == ["/tours/show", "/tours/secret"]


async def test_http_service_gets_the_idempotency_key_made_unique_by_the_caller(
    tours: Client, service: Service
) -> None:
    for caller in ("employee", "employee", "liaison"):
        await book(tours, caller, headers={"idempotency-key": "same"})
    first, again, other = (arrival.headers["idempotency-key"] for arrival in service.arrivals)
    assert first == again != other
    assert "same" not in {first, other}
    assert not await execute(tours.database_url, "select from gateway.idempotency")


async def test_http_service_gets_the_trace_that_the_request_brought(
    tours: Client, service: Service
) -> None:
    brought = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "rojo=1"}
    await book(tours, headers=brought)
    assert brought.items() <= service.arrivals[0].headers.items()


async def test_http_service_connection_is_used_again(tours: Client, service: Service) -> None:
    for _ in range(3):
        assert (await book(tours)).status_code == 200
    assert (len(service.arrivals), service.connections) == (3, 1)
    ids = {arrival.headers["webhook-id"] for arrival in service.arrivals}
    assert len(ids) == 3


async def test_http_service_refuses_with_a_documented_status(
    tours: Client, service: Service
) -> None:
    errors = [{"attr": "city", "message": "has no tour", "more": 1}]
    refusal = {"status": "tour-full", "message": "Full.", "errors": errors, "help": "no"}
    service.behaviour = answers(response(422, refusal))
    answer = await book(tours)
    assert answer.status_code == 409, "the code of the status is the route's"
    assert answer.json()["message"] == "Full."
    assert answer.json()["errors"] == [{"attr": "city", "message": "has no tour"}]
    service.behaviour = answers(response(400, {"status": "invalid-param"}))
    assert (await book(tours)).json()["status"] == "invalid-param"


async def test_http_service_without_data_answers_null(tours: Client, service: Service) -> None:
    service.behaviour = says(None)
    assert (await book(tours)).json() == {"code": 200, "status": "action-successful"}


async def test_http_service_with_a_wrong_answer_raises_a_notification_that_names_it(
    tours: Client, service: Service
) -> None:
    service.behaviour = answers(response(404, {"status": "no-such-tour"}))
    answer = await book(tours)
    assert (answer.status_code, answer.json()["status"]) == (500, "application-crash")
    await wait_for_rows(tours.database_url, "select from gateway.notifications", 1)
    [row] = await notifications(tours.database_url)
    assert (row["kind"], row["route"]) == ("application-crash", "tours.book")
    assert row["message"] == (
        "The service tours answered book with HTTP 404 with the status no-such-tour, "
        "which the route does not document."
    )


async def test_http_service_without_a_secret_gets_nothing(
    database: str,
    tokens: dict[str, str],
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE)
    async with serving_tours(database, tokens, desired(tmp_path, [service.url])) as client:
        answer = await book(client)
        assert (answer.status_code, answer.json()["status"]) == (503, "service-unavailable")
        assert "secret is not set" in answer.json()["message"]
        [endpoint] = http_service(client).usage().endpoints
        assert endpoint.problem == "its secret is not set or malformed"
        await wait_for_rows(database, "select from gateway.notifications", 1)
        [row] = await notifications(database)
    assert row["kind"] == "secret-unusable"
    expected = f"tours: the variable {VARIABLE} has no usable secret: it is not set"
    assert row["message"] == expected
    assert not service.connections


async def test_http_service_call_takes_no_database_connection(
    tours: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book(tours)
    monkeypatch.setattr(tours.worker.pool, "acquire", None)
    assert (await book(tours)).status_code == 200
    assert len(service.arrivals) == 2


async def test_http_service_bulkhead_sheds_what_does_not_fit(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path
) -> None:
    state = desired(tmp_path, [service.url], timeout="5s")
    async with serving_tours(database, tokens, state, service_calls="2") as client:
        service.behaviour = answers(then="hang")
        calls = [asyncio.create_task(book(client)) for _ in range(5)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().json()["status"] for task in done] == ["service-unavailable"]
        assert "is busy" in done.pop().result().json()["message"]
        assert http_service(client).usage()[1:3] == (2, 2)
        await until(lambda: len(service.arrivals) == 2)
        headers = {"authorization": f"Bearer {client.tokens['employee']}"}
        other = await client.request("GET", "/services/statuses", headers=headers)
        assert other.status_code == 200
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            response(200, gzip.compress(b'{"data": 1}'), "content-encoding: gzip\r\n"),
            "it is encoded, such as by gzip, although the gateway accepts no encoding.",
        ),
        (
            response(401, {"error": "signature"}),
            "it may have another secret, so that it refuses the signature.",
        ),
    ],
    ids=["encoded", "unauthorized"],
)
async def test_http_service_answer_that_cannot_be_used_is_logged_with_the_likely_reason(
    tours: Client,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
    reason: str,
) -> None:
    service.behaviour = answers(answer)
    assert (await book(tours)).json()["status"] == "application-crash"
    [crashed] = logged(caplog, events.REQUEST_CRASHED)
    assert crashed["place"].endswith(reason)


async def test_http_service_changes_endpoints_while_a_call_ends_on_the_old_one(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def wait(_: Arrival, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response(200, {"data": "old"}))

    service.behaviour = wait
    state = desired(tmp_path, [service.url], timeout="30s")
    async with serving_tours(database, tokens, state) as tours, running(says("new")) as [other]:
        old = asyncio.create_task(book(tours))
        await until(lambda: service.arrivals)
        outcome = await applied(tours.database_url, desired(tmp_path, [other.url]))
        await tours.worker.registry.wait_for(outcome.revision)
        assert (await book(tours)).json()["data"] == "new"
        release.set()
        assert (await old).json()["data"] == "old"
    assert len(service.arrivals) == 1


async def test_http_service_name_resolves_to_its_addresses(
    database: str, tokens: dict[str, str], service: Service, tmp_path: Path
) -> None:
    name = f"http://localhost:{service.port}"
    async with serving_tours(database, tokens, desired(tmp_path, [name])) as client:
        assert (await book(client)).status_code == 200
        assert service.arrivals[0].headers["host"] == f"localhost:{service.port}"
        addresses = {target.key.address for target in http_service(client).endpoints.targets}
    assert "127.0.0.1" in addresses


async def test_http_service_name_that_resolves_to_a_refused_address_gets_nothing(
    database: str, tokens: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def metadata(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("169.254.169.254", 80))]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(type(loop), "getaddrinfo", metadata)
    state = desired(tmp_path, ["http://tours.example"])
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, SECRET)
    async with serving_tours(database, tokens, state) as client:
        monkeypatch.setattr(type(loop), "getaddrinfo", metadata)
        answer = await book(client)
        assert answer.json()["status"] == "service-unavailable"
        assert "Nothing was sent" in answer.json()["message"]
        [endpoint] = http_service(client).usage().endpoints
        monkeypatch.undo()
    assert "tours.example resolves to the link-local address 169.254.169.254" in endpoint.problem
