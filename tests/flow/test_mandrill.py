"""Mail through the real client and a real socket: each error by name, and no leaked secrets."""

import asyncio
import logging
import re
import threading
import traceback
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest
from starlette.responses import Response, StreamingResponse
from support.harness import until
from support.mandrill import (
    CONTENT,
    KEY,
    RecordingServer,
    mandrill_client,
    message,
    running_stand_in,
    served_in_thread,
)

from gateway.dev.mandrill import API, StandIn
from gateway.outbox.mandrill import MailError, Mandrill
from gateway.outbox.transport import Message


@pytest.fixture
def stand_in(served: tuple[StandIn, str]) -> StandIn:
    served[0].received.clear()
    return served[0]


@pytest.fixture
def address(served: tuple[StandIn, str]) -> str:
    return served[1]


@pytest.fixture(scope="module")
def recording() -> Iterator[tuple[RecordingServer, str]]:
    recording_server = RecordingServer()
    with served_in_thread(recording_server.app) as url:
        yield recording_server, url


async def error_of(mandrill: Mandrill, sent: Message) -> MailError:
    with pytest.raises(MailError) as caught:
        await mandrill.send_message(sent)
    return caught.value


def leaks(error: BaseException) -> list[str]:
    """The secrets that an exception, its causes and its contexts contain."""
    text, cause = "".join(traceback.format_exception(error)), error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        text += repr(cause)
    return [secret for secret in (KEY, CONTENT, "client@example.com") if secret in text]


async def test_mandrill_receives_the_message_as_given(stand_in: StandIn, address: str) -> None:
    with mandrill_client(address) as mandrill:
        receipt = await mandrill.send_message(message(), "outbox-7")
    assert re.fullmatch("[0-9a-f]{32}", receipt)
    [received] = stand_in.received
    assert (received.template, received.answer) == ("order-stage-changed", "sent")
    assert received.message == {
        "to": [{"email": "client@example.com", "name": "Ben Stone", "type": "to"}],
        "global_merge_vars": [{"name": "note", "content": CONTENT}],
        "tags": ["order-stage-changed"],
        "metadata": {"outbox": "outbox-7"},
    }


@pytest.mark.parametrize("end", ["", "/", "//"])
async def test_mandrill_address_may_end_with_slashes(
    stand_in: StandIn, address: str, end: str
) -> None:
    mandrill = Mandrill(KEY, address + API.rstrip("/") + end)
    await mandrill.send_message(message())
    mandrill.close()
    assert len(stand_in.received) == 1


async def test_mandrill_ping_checks_the_key(address: str) -> None:
    with mandrill_client(address) as mandrill:
        await mandrill.ping()
    with mandrill_client(address, "invalid") as mandrill, pytest.raises(MailError) as caught:
        await mandrill.ping()
    assert (caught.value.name, caught.value.transient) == ("Invalid_Key", False)


@pytest.mark.parametrize(
    ("sent", "name", "transient"),
    [
        (message(template="broken-template"), "Unknown_Template", False),
        (message("payment@example.com"), "PaymentRequired", False),
        (message("subaccount@example.com"), "Unknown_Subaccount", False),
        (message("general@example.com"), "GeneralError", True),
        (message("rejected@example.com"), "rejected: hard-bounce", False),
        (message("invalid@example.com"), "invalid: invalid", False),
        (message("html@example.com"), "HTTP 502", True),
        (message("limited@example.com"), "HTTP 429", True),
        (message("slow@example.com"), "timeout", True),
        (message("drop@example.com"), "network", True),
        (message(""), "no recipient", False),
        (message(merge={"note": object()}), "unreadable message", False),
    ],
    ids=lambda value: f"{value.email}{value.template[:6]}" if isinstance(value, Message) else None,
)
async def test_mandrill_failures_of_the_stand_in_have_their_names(
    address: str, sent: Message, name: str, *, transient: bool
) -> None:
    with mandrill_client(address, timeout=(5, 0.5 if name == "timeout" else 20)) as mandrill:
        error = await error_of(mandrill, sent)
    assert (error.name, error.transient) == (name, transient)
    assert str(error).endswith(".")
    assert not leaks(error)


def mandrill_error(name: str) -> bytes:
    """An error of Mandrill's that quotes secrets."""
    return orjson.dumps({"status": "error", "code": -1, "name": name, "message": KEY + CONTENT})


@pytest.mark.parametrize(
    ("status", "body", "name", "transient"),
    [
        (500, mandrill_error("Invalid_Key"), "Invalid_Key", False),
        (401, mandrill_error("Invalid_Key"), "Invalid_Key", False),
        (500, mandrill_error("Unknown_Template"), "Unknown_Template", False),
        (500, mandrill_error("ValidationError"), "ValidationError", False),
        (400, mandrill_error("ValidationError"), "ValidationError", False),
        (500, mandrill_error("PaymentRequired"), "PaymentRequired", False),
        (500, mandrill_error("Unknown_Subaccount"), "Unknown_Subaccount", False),
        (500, mandrill_error("Invalid_Template"), "Invalid_Template", False),
        (500, mandrill_error("ServiceUnavailable"), "ServiceUnavailable", True),
        (500, mandrill_error("GeneralError"), "GeneralError", True),
        (500, mandrill_error(KEY), "HTTP 500", True),
        (400, mandrill_error(KEY), "HTTP 400", False),
        (429, mandrill_error("ValidationError"), "ValidationError", True),
        (429, b"{}", "HTTP 429", True),
        (503, b"{}", "HTTP 503", True),
        (500, b"null", "HTTP 500", True),
        (500, b'"text"', "HTTP 500", True),
        (500, b'{"status": "error", "name": "Unknown_Template"}', "Unknown_Template", False),
        (500, b'{"status": "error", "name": []}', "HTTP 500", True),
        (502, b"<html>", "HTTP 502", True),
        (404, b"<html>", "HTTP 404", True),
        (500, b"[" * 100_000, "HTTP 500", True),
        (200, b"<html>", "unexpected reply", True),
        (200, b"", "unexpected reply", True),
        (200, b"[]", "empty reply", False),
        (200, b"{}", "unexpected reply", False),
        (200, b"null", "unexpected reply", False),
        (200, b"[1]", "unexpected reply", False),
        (200, b'[{"status": "lost"}]', "unexpected reply", False),
        (200, b'[{"status": ["sent"]}]', "unexpected reply", False),
        (200, b'[{"status": "rejected", "reject_reason": "spam"}]', "rejected: spam", False),
        (200, b'[{"status": "rejected", "reject_reason": null}]', "rejected", False),
        (200, b'[{"status": "rejected", "reject_reason": ["x"]}]', "rejected", False),
        (200, b'[{"status": "invalid", "reject_reason": "%s"}]' % KEY.encode(), "invalid", False),
    ],
)
async def test_mandrill_reply_decides_the_name_of_a_failure(
    recording: tuple[RecordingServer, str], status: int, body: bytes, name: str, *, transient: bool
) -> None:
    recording[0].reply = Response(body, status, media_type="application/json")
    with mandrill_client(recording[1]) as mandrill:
        error = await error_of(mandrill, message())
    assert (error.name, error.transient) == (name, transient)
    assert not leaks(error)


@pytest.mark.parametrize("status", ["sent", "queued", "scheduled"])
async def test_mandrill_message_that_is_accepted_is_a_success(
    recording: tuple[RecordingServer, str], status: str
) -> None:
    recording[0].reply = Response(orjson.dumps([{"status": status, "_id": "n1"}]))
    with mandrill_client(recording[1]) as mandrill:
        assert await mandrill.send_message(message()) == "n1"


async def test_mandrill_redirect_is_not_followed(recording: tuple[RecordingServer, str]) -> None:
    recording_server, url = recording
    recording_server.bodies.clear()
    recording_server.reply = Response(status_code=307, headers={"location": f"{url}/elsewhere"})
    with mandrill_client(url) as mandrill:
        error = await error_of(mandrill, message())
    assert (error.name, error.transient, len(recording_server.bodies)) == ("HTTP 307", True, 1)


async def test_mandrill_reply_that_stalls_times_out(recording: tuple[RecordingServer, str]) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    recording[0].reply = StreamingResponse(stalled())
    with mandrill_client(recording[1], timeout=(5, 0.3)) as mandrill:
        error = await error_of(mandrill, message())
    assert (error.name, error.transient) == ("network", True)


async def test_mandrill_that_does_not_listen_is_a_network_error() -> None:
    with running_stand_in() as (_, url):
        pass
    with mandrill_client(url) as mandrill:
        error = await error_of(mandrill, message())
    assert (error.name, error.transient) == ("network", True)
    assert not leaks(error)


async def test_mandrill_without_a_key_does_not_use_the_environments(
    stand_in: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANDRILL_APIKEY", KEY)
    with mandrill_client(address, "") as mandrill:
        error = await error_of(mandrill, message())
    assert (error.name, error.transient) == ("missing key", False)
    assert not stand_in.received


async def test_mandrill_error_is_not_that_of_the_previous_call(address: str) -> None:
    with mandrill_client(address, threads=1) as mandrill:
        names = [
            (await error_of(mandrill, message(email))).name
            for email in ("payment@x.test", "drop@x.test", "payment@x.test")
        ]
        assert await mandrill.send_message(message())
    assert names == ["PaymentRequired", "network", "PaymentRequired"]


async def test_mandrill_messages_at_the_same_time_get_their_own_errors(address: str) -> None:
    names = {"payment": "PaymentRequired", "general": "GeneralError", "drop": "network"}
    with mandrill_client(address) as mandrill:
        words = [*names] * 20
        errors = [error_of(mandrill, message(f"{word}@x.test")) for word in words]
        received = [error.name for error in await asyncio.gather(*errors)]
    assert received == [names[word] for word in words]


async def test_mandrill_key_and_content_are_not_logged(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    package = logging.getLogger("mandrill")
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "mandrill")
    package.addHandler(caplog.handler)
    try:
        with mandrill_client(address) as mandrill:
            await mandrill.send_message(message())
            for email in ("payment@x.test", "html@x.test", "drop@x.test", "rejected@x.test"):
                await error_of(mandrill, message(email))
    finally:
        package.removeHandler(caplog.handler)
    assert "urllib3" in caplog.text
    assert not [secret for secret in (KEY, CONTENT) if secret in caplog.text]
    assert not [record for record in caplog.records if record.name == "mandrill"]


def mail_threads() -> int:
    return sum(thread.name.startswith("mail") for thread in threading.enumerate())


async def test_mandrill_hanging_sends_use_few_threads_and_not_the_loop(
    stand_in: StandIn, address: str
) -> None:
    await until(lambda: not mail_threads())
    with mandrill_client(address, threads=4, timeout=(5, 0.5)) as mandrill:
        slow = message("slow@example.com")
        hanging = [asyncio.create_task(error_of(mandrill, slow)) for _ in range(20)]
        await until(lambda: stand_in.received)
        turns = max_threads = 0
        while not all(task.done() for task in hanging):
            turns += 1
            max_threads = max(max_threads, mail_threads())
            await asyncio.sleep(0)
        assert {task.result().name for task in hanging} == {"timeout"}
    assert max_threads == 4
    assert len(mandrill._sessions) == 4
    assert turns > 200
    assert len(stand_in.received) == 20


async def test_mandrill_message_cancelled_before_it_has_a_thread_is_not_sent(
    stand_in: StandIn, address: str
) -> None:
    with mandrill_client(address, threads=1, timeout=(5, 0.5)) as mandrill:
        first = asyncio.create_task(error_of(mandrill, message("slow@example.com")))
        await until(lambda: stand_in.received)
        second = asyncio.create_task(mandrill.send_message(message()))
        await asyncio.sleep(0)
        second.cancel()
        await first
        await asyncio.gather(second, return_exceptions=True)
        await mandrill.send_message(message("third@example.com"))
    assert [entry.message["to"][0]["email"] for entry in stand_in.received] == [
        "third@example.com",
        "slow@example.com",
    ]
