"""Each way in which a service can fail: the answer, the retries, and how often it was asked.

Two endpoints fail in the same way. So the arrivals say how often a call was sent: once, or twice if
that cannot do its work twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.harness import Client
from support.mail import notifications, wait_for_rows
from support.upstreams import (
    Arrival,
    Behaviour,
    Service,
    answers,
    desired,
    http_service,
    response,
    running,
    says,
    serving_tours,
)

from gateway.upstreams.http import attempt

pytestmark = pytest.mark.usefixtures("tours_secret")

HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = HEAD + b"content-length: 1000\r\n\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
DATA = {"data": 1}
UNAVAILABLE, CRASH, FULL = "service-unavailable", "application-crash", "tour-full"
REPEATABLE = ("key", "get")
TRICKLE = tuple(bytes([byte]) for byte in response(200, DATA))


class Fault(NamedTuple):
    """A way to fail, with what becomes of it.

    `sent` is how often a call reaches the services if it must not be done twice, and if it may.
    `counts` is whether it counts towards an ejection. `says` is part of the message to the caller.
    """

    behaviour: Behaviour
    status: str = UNAVAILABLE
    sent: tuple[int, int] = (1, 2)
    counts: bool = True
    says: str = "The outcome of this call is unknown."


def crash(*parts: bytes, then: str = "keep", counts: bool = False) -> Fault:
    """An answer that no route documents: never sent again, and the endpoint is not to blame."""
    return Fault(answers(*parts, then=then), CRASH, (1, 1), counts, "An unexpected error")


FAULTS = {
    "resets after the request": Fault(answers(then="reset")),
    "closes after the request": Fault(answers(then="close")),
    "resets within the status line": Fault(answers(b"HTTP/1.", then="reset")),
    "resets within the head": Fault(answers(HEAD + b"content-le", then="reset")),
    "closes within the head": Fault(answers(HEAD + b"content-le", then="close")),
    "resets after the head": Fault(answers(LONG, then="reset")),
    "resets within the body": Fault(answers(LONG + b'{"data": ', then="reset")),
    "closes within the body": Fault(answers(LONG + b'{"data": ', then="close")),
    "closes within a chunk": Fault(answers(CHUNKED + b'9\r\n{"da', then="close")),
    "closes before the last chunk": Fault(answers(CHUNKED + b'9\r\n{"data":1\r\n', then="close")),
    "hangs before the head": Fault(answers(then="hang")),
    "hangs within the head": Fault(answers(HEAD + b"content-le", then="hang")),
    "hangs after the head": Fault(answers(LONG, then="hang")),
    "hangs within the body": Fault(answers(LONG + b'{"data": ', then="hang")),
    "trickles": Fault(answers(*TRICKLE, pause=0.05)),
    "announces too much": crash(HEAD + b"content-length: 2097153\r\n\r\n", then="hang"),
    "sends too much": crash(CHUNKED, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 33, then="hang"),
    "answers another protocol": crash(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", then="hang", counts=True),
    "has a malformed head": crash(HEAD + b"no colon\r\n\r\n", then="hang", counts=True),
    "has two lengths": crash(
        HEAD + b"content-length: 10\r\ncontent-length: 2\r\n\r\n{}", then="hang", counts=True
    ),
    "has a length and chunks": crash(
        HEAD
        + b'content-length: 10\r\ntransfer-encoding: chunked\r\n\r\na\r\n{"data":1}\r\n0\r\n\r\n',
        then="hang",
        counts=True,
    ),
    "answers HTML": crash(response(200, b"<html>")),
    "is empty": crash(response(200, b"")),
    "answers a list": crash(response(200, [DATA])),
    "has no data": crash(response(200, {"result": 1})),
    "has data and another code": crash(response(201, DATA)),
    "has an undocumented status": crash(response(400, {"status": "no-such-status"})),
    "has a list as its status": crash(response(400, {"status": ["tour-full"]})),
    "has an object as its errors": crash(response(409, {"status": FULL, "errors": {"city": "x"}})),
    "has a number as its message": crash(response(409, {"status": FULL, "message": 1})),
    "says that it succeeded": crash(response(400, {"status": "action-successful"})),
    "says that it crashed": crash(response(500, {"status": CRASH})),
    "is 404": crash(response(404, b"Not Found")),
    "is 500": crash(response(500, b"Internal Server Error")),
    "redirects": crash(response(307, b"", "location: http://169.254.169.254/\r\n")),
    "is 502": Fault(answers(response(502, b"Bad Gateway"))),
    "is 503 with Retry-After": Fault(answers(response(503, b"", "retry-after: 7\r\n"))),
    "is 504": Fault(answers(response(504, {"status": "no-such-status"}))),
    "says that it is unavailable": Fault(
        answers(response(503, {"status": UNAVAILABLE})), sent=(1, 1), says="dependency"
    ),
    "refuses with 503 and its own status": Fault(
        answers(response(503, {"status": FULL})), FULL, (1, 1), counts=False, says="No place"
    ),
}


@asynccontextmanager
async def tours(
    database: str, tokens: dict[str, str], folder: Path, *endpoints: str, **changes: Any
) -> AsyncIterator[Client]:
    state = desired(folder, endpoints, **{"timeout": "300ms", **changes})
    async with serving_tours(database, tokens, state) as client:
        yield client


async def call(client: Client, kind: str = "plain", path: str = "book") -> Any:
    """Call a route: `plain`, with a `key`, or one that is only read (`get`)."""
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    if kind == "get":
        return await client.request("GET", "/tours/7", headers=headers)
    if kind == "key":
        headers["idempotency-key"] = "key-1"
    return await client.post(f"/api/v1/tours/{path}", {"city": "X"}, headers=headers)


def faults_of(client: Client) -> list[int]:
    return [target.ejector._faults for target in http_service(client).endpoints.targets]


@pytest.fixture
async def pair(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> AsyncIterator[Callable[[Behaviour], Any]]:
    """Serves two endpoints, and makes both behave in the same way."""
    async with running(says(0), says(0)) as services:
        urls = [service.url for service in services]
        async with tours(database, tokens, tmp_path, *urls) as client:

            def behave(behaviour: Behaviour) -> tuple[Client, list[Service]]:
                for service in services:
                    service.behaviour = behaviour
                    service.arrivals.clear()
                for target in http_service(client).endpoints.targets:
                    target.ejector.succeed()
                return client, services

            yield behave


@pytest.mark.parametrize("name", FAULTS)
async def test_fault_of_a_service_has_its_answer_and_is_never_sent_twice_unless_that_is_safe(
    pair: Callable[[Behaviour], Any], name: str
) -> None:
    fault = FAULTS[name]
    for kind in ("plain", *REPEATABLE):
        client, services = pair(fault.behaviour)
        answer = await call(client, kind)
        assert answer.json()["status"] == fault.status, answer.text
        assert fault.says in answer.json()["message"]
        arrivals = [len(service.arrivals) for service in services]
        assert sum(arrivals) == fault.sent[kind in REPEATABLE], kind
        assert max(arrivals) == 1, "a retry goes to another endpoint"
        assert sum(faults_of(client)) == (sum(arrivals) if fault.counts else 0)
    await _check_notification(client.database_url, is_expected=fault.status == CRASH)


async def _check_notification(url: str, *, is_expected: bool) -> None:
    """What no route documents raises a notification that names the service and quotes nothing."""
    if is_expected:
        await wait_for_rows(url, "select from gateway.notifications", 2)
        for row in await notifications(url):
            assert (row["kind"], row["route"][:6]) == (CRASH, "tours.")
            assert row["message"].startswith(f"The service tours answered {row['route'][6:]}")
            assert "169.254" not in row["message"]
    else:
        assert await notifications(url) == []


async def test_fault_of_503_passes_retry_after_on(pair: Callable[[Behaviour], Any]) -> None:
    client, _ = pair(FAULTS["is 503 with Retry-After"].behaviour)
    answer = await call(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize("kind", ["plain", *REPEATABLE])
async def test_refused_connection_is_tried_on_the_other_endpoint(
    database: str, tokens: dict[str, str], tmp_path: Path, kind: str
) -> None:
    async with running(says(1), says(2)) as [gone, other]:
        await gone.stop()
        async with tours(database, tokens, tmp_path, gone.url, other.url) as client:
            answers = [(await call(client, kind)).json()["data"] for _ in range(40)]
            assert answers == [2] * 40
            assert len(other.arrivals) == 40
            assert http_service(client).usage().retries >= 5


async def test_refused_connections_only_are_answered_with_nothing_sent(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async with running(says(1), says(2)) as services:
        for service in services:
            await service.stop()
        urls = [service.url for service in services]
        async with tours(database, tokens, tmp_path, *urls) as client:
            answer = await call(client)
    assert (answer.status_code, answer.json()["status"]) == (503, UNAVAILABLE)
    assert answer.json()["message"] == (
        "The service tours cannot be reached: the connection was refused. Nothing was sent."
    )


@pytest.mark.parametrize(("kind", "sent"), [("plain", 1), ("key", 1), ("get", 1)])
async def test_reused_connection_that_the_service_closes_is_not_sent_again_by_the_client(
    database: str, tokens: dict[str, str], tmp_path: Path, kind: str, sent: int
) -> None:
    async with running(says(1)) as [service]:
        async with tours(database, tokens, tmp_path, service.url) as client:
            assert (await call(client, kind)).status_code == 200
            service.arrivals.clear()
            service.behaviour = answers(then="close")
            answer = await call(client, kind)
        assert answer.json()["status"] == UNAVAILABLE
        assert len(service.arrivals) == sent
        assert service.connections == 1


async def test_connection_that_the_service_closed_while_idle_is_not_used(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async def answer_once(_: Arrival, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, DATA))
        writer.close()

    async with (
        running(answer_once) as [service],
        tours(database, tokens, tmp_path, service.url) as client,
    ):
        for _ in range(20):
            assert (await call(client)).status_code == 200
            await asyncio.sleep(0.01)
        assert (len(service.arrivals), service.connections) == (20, 20)


async def test_no_retries_means_one_attempt(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    fault = FAULTS["resets after the request"].behaviour
    async with running(fault, fault) as services:
        urls = [service.url for service in services]
        async with tours(database, tokens, tmp_path, *urls, retries=0) as client:
            assert (await call(client, "key")).json()["status"] == UNAVAILABLE
        assert sum(len(service.arrivals) for service in services) == 1


async def test_deadline_of_the_route_bounds_all_attempts(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    hang = answers(then="hang")
    async with running(hang, hang) as services:
        urls = [service.url for service in services]
        async with tours(database, tokens, tmp_path, *urls, timeout="20s") as client:
            answer = await call(client, path="quick")  # its timeout is 200 ms
        assert answer.json()["status"] == UNAVAILABLE
        [arrival] = [arrival for service in services for arrival in service.arrivals]
        assert 0 < int(arrival.headers["x-deadline-ms"]) <= 200


async def test_retries_are_at_most_a_fifth_of_the_calls_beyond_a_reserve(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    fault = FAULTS["is 502"].behaviour
    async with running(fault, fault) as services:
        urls = [service.url for service in services]
        async with tours(database, tokens, tmp_path, *urls) as client:
            for _ in range(100):
                for target in http_service(client).endpoints.targets:
                    target.ejector.succeed()
                await call(client, "key")
        assert sum(len(service.arrivals) for service in services) == 100 + 10 + 20


async def test_answer_as_large_as_allowed_is_passed_on(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    text = "x" * (attempt.MAX_ANSWER - len('{"data":""}'))
    async with (
        running(says(text)) as [service],
        tours(database, tokens, tmp_path, service.url, timeout="5s") as client,
    ):
        assert (await call(client)).json()["data"] == text
