"""The stand-in for Mandrill: it answers like Mandrill, and lists the mail that it received."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest
from support.harness import settings

from gateway.dev import run
from gateway.dev.mandrill import API, MAX_MESSAGES, StandIn
from gateway.serve import server


@pytest.fixture
def stand_in(served: tuple[StandIn, str]) -> StandIn:
    served[0].received.clear()
    return served[0]


@pytest.fixture(scope="module")
def http(served: tuple[StandIn, str]) -> Iterator[httpx2.Client]:
    """A client of the stand-in."""
    with httpx2.Client(base_url=served[1]) as client:
        yield client


def post(http: httpx2.Client, body: object, path: str = "messages/send-template") -> Any:
    response = http.post(f"{API}{path}.json", content=orjson.dumps(body))
    return response.status_code, response.json()


FULL = {
    "key": "k",
    "template_name": "order-stage-changed",
    "template_content": [],
    "message": {"to": [{"email": "a@example.com"}]},
}


@pytest.mark.parametrize(
    ("changes", "code", "name", "message"),
    [
        ({"key": None}, -2, "ValidationError", "You must specify a key value"),
        ({"key": "invalid-one"}, -1, "Invalid_Key", "Invalid API key"),
        ({"template_name": 1}, -2, "ValidationError", '{"template_name":'),
        ({"template_content": {}}, -2, "ValidationError", '{"template_content":'),
        ({"message": {}}, -2, "ValidationError", '{"message":"'),
        ({"message": {"to": []}}, -2, "ValidationError", '{"message":{"to":'),
        ({"message": {"to": [{}]}}, -2, "ValidationError", '{"message":{"to":{"0":'),
        ({"template_name": "x"}, 5, "Unknown_Template", "Unknown_Template"),
        ({"message": {"to": [{"email": "payment+1@x.test"}]}}, 10, "PaymentRequired", ""),
        ({"message": {"to": [{"email": "subaccount@x.test"}]}}, 12, "Unknown_Subaccount", ""),
        ({"message": {"to": [{"email": "general@x.test"}]}}, -99, "GeneralError", ""),
    ],
)
def test_stand_in_refuses_invalid_requests_as_documented(
    http: httpx2.Client, changes: dict[str, Any], code: int, name: str, message: str
) -> None:
    status, body = post(http, {**FULL, **changes})
    assert (status, body["status"], body["code"], body["name"]) == (500, "error", code, name)
    assert body.keys() == {"status", "code", "name", "message"}
    assert message in body["message"]


@pytest.mark.parametrize("body", [None, [], "x", {}])
def test_stand_in_checks_the_key_first(http: httpx2.Client, body: object) -> None:
    for path in ("messages/send-template", "users/ping"):
        status, answer = post(http, body, path)
        assert (status, answer["name"]) == (500, "ValidationError")


@pytest.mark.parametrize(
    ("changes", "statuses"),
    [
        ({}, ["sent"]),
        ({"async": True}, ["queued"]),
        ({"send_at": "2030-01-01 00:00:00"}, ["scheduled"]),
        (
            {"message": {"to": [{"email": "rejected@x.test"}, {"email": "a@x.test"}]}},
            ["rejected", "sent"],
        ),
        ({"message": {"to": [{"email": "rejected@x.test"}] * 11}}, ["queued"] * 11),
    ],
)
def test_stand_in_answers_for_each_recipient(
    http: httpx2.Client, changes: dict[str, Any], statuses: list[str]
) -> None:
    status, replies = post(http, {**FULL, **changes})
    assert (status, [reply["status"] for reply in replies]) == (200, statuses)
    fields = {"email", "status", "reject_reason", "queued_reason", "_id"}
    assert all(reply.keys() == fields for reply in replies)
    assert post(http, {"key": "k"}, "users/ping") == (200, "PONG!")


def test_stand_in_page_escapes_its_content(stand_in: StandIn, http: httpx2.Client) -> None:
    evil = "<script>alert('x')</script>\"{0}&"
    to = [{"email": evil, "name": evil}]
    changes = {"template_name": evil, "message": {"to": to, "tags": [evil]}}
    post(http, {**FULL, **changes})
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;") == 5
    assert stand_in.received[0].template == evil


def test_stand_in_lists_recent_messages_and_forgets_them(
    stand_in: StandIn, http: httpx2.Client
) -> None:
    for number in range(MAX_MESSAGES + 5):
        post(http, {**FULL, "message": {"to": [{"email": f"n{number}@x.test"}]}})
    listed = http.get("/received.json").json()
    emails = [entry["message"]["to"][0]["email"] for entry in listed]
    assert emails == [f"n{number}@x.test" for number in range(MAX_MESSAGES + 4, 4, -1)]
    page = http.get("/").text
    assert page.index(emails[0]) < page.index(emails[1])
    assert not re.search(r"\bkey\b", page)
    assert http.post("/forget").headers["location"] == "/"
    assert not stand_in.received
    assert "No messages yet." in http.get("/").text


@pytest.mark.parametrize(
    ("environment", "uses_stand_in"),
    [
        ({}, True),
        ({"mandrill_api_key": "k"}, False),
        ({"mandrill_url": "http://127.0.0.1:9/api/1.0/"}, False),
    ],
)
def test_stand_in_is_used_by_dev_unless_mandrill_is_configured(
    environment: dict[str, str], *, uses_stand_in: bool
) -> None:
    configured = settings("", **environment)
    with contextlib.closing(server.listen("127.0.0.1", 0)) as listener:
        used = run.with_mail_stand_in(configured, listener)
        assert (used == configured) is not uses_stand_in
        assert (used.mandrill_url == server.url(listener) + API) is uses_stand_in
    assert bool(used.mandrill_api_key) is (uses_stand_in or "mandrill_api_key" in environment)
