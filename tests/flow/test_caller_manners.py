"""What callers send without meaning harm: nulls, empty fields, wrong content types, stray names.

Each row is a request, and the status, errors and ignored params of its answer.
"""

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx2
import orjson
import pytest
from support.harness import Client, execute

CREATE = "/api/v1/order_stages/create"
STATUSES = "/services/statuses"
LOG_IN = "/api/v1/sessions/create"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
STAGE: dict[str, Any] = {"order_id": 9, "update_status": True, "stage": "scheduled"}
HASHES = {"appointment": {"appt_id": 1}, "client": {"client_id": 1}, "order": {"notes": "n"}}
OK = "action-successful"


class Row(NamedTuple):
    """A request of the employee, and what is expected of its answer.

    `errors` are written as `attr: message`; `message` is a part of the answer's message.
    """

    status: str
    body: Any = b""
    path: str = CREATE
    content_type: str = JSON
    method: str = "POST"
    headers: Mapping[str, str] = MappingProxyType({})
    errors: tuple[str, ...] = ()
    ignored: str | None = None
    message: str = ""


def stage(status: str = OK, /, *errors: str, ignored: Any = None, **params: Any) -> Row:
    """A call of order_stages.create in JSON."""
    return Row(status, {**STAGE, **params}, errors=errors, ignored=ignored)


def stage_form(body: str, status: str = OK, *errors: str) -> Row:
    """A call of order_stages.create as a form, with `body` after what is required."""
    form = f"order_id=9&update_status=true&stage=s&{body}"
    return Row(status, form.encode(), content_type=FORM, errors=errors)


def status_form(body: str, status: str = "", *errors: str) -> Row:
    return Row(status, body.encode(), path=STATUSES, content_type=FORM, errors=errors)


def listing(query: str, status: str = "", *errors: str) -> Row:
    return Row(status, path=f"{STATUSES}?{query}", method="GET", errors=errors)


def plain(text: bytes, message: str) -> Row:
    """A body that is not JSON."""
    return Row("invalid-encoded-params", text, message=message)


def log_in(text: bytes, status: str) -> Row:
    return Row(status, text, path=LOG_IN, content_type="text/plain")


CREDENTIALS = base64.b64encode(
    orjson.dumps(
        {"email": "client@example.com", "password": "demo-password", "application": "planoorder"}
    )
)
SEED_SAMPLE = b"""{
  "status": {
    "name": "Nowe",
    "color": "1",
  }
}"""
NOT_AN_INTEGER = "must be an integer"
OUT_OF_RANGE = "must be an integer between -(2^63-1) and 2^63-1"
TIME = "must be a date and time as YYYY-MM-DD HH:MM:SS"
KEY = {"idempotency-key": "k"}
REFUSED_KEY = "Idempotency-Key: is not supported by this route"

ROWS = {
    # null
    "null beside the other of two ids": stage(order_id=None, order_request_id=1009),
    "null of optional params": stage(
        notes=None, appointment=None, event_slug=None, created_by_id=None, updated_by=None
    ),
    "null of common params": stage(application=None, session_view=None, application_view=None),
    "null of a nested param": stage(appointment={"appt_id": None, "cancel_note": None}),
    "null of a required param": stage("missing-param", "stage: missing", stage=None),
    "null of both ids": stage(
        "missing-param", "order_id: missing", "order_request_id: missing", order_id=None
    ),
    "null in a list is a value": stage(order={"services_addon_array": ["a", None]}),
    "null of an unknown param": stage(ignored="stagee", stagee=None),
    "null of a field to change": Row(
        "", {"status": {"name": None, "color": "2"}}, path=f"{STATUSES}/1", method="PUT"
    ),
    "null of a required field": Row(
        "missing-param",
        {"status": {"name": None}},
        path=STATUSES,
        errors=("status.name: missing",),
    ),
    # empty text
    "empty fields of a form": stage_form(
        "order_request_id=&created_by_id=&appointment[appt_id]=&order[delivery_rush]=&client="
        "&stage_at_mt=&created_by=&updated_by=&event_slug="
    ),
    "an empty required field of a form": Row(
        "missing-param",
        b"order_id=&update_status=&stage=",
        content_type=FORM,
        errors=(
            *("update_status: missing", "stage: missing"),
            *("order_id: missing", "order_request_id: missing"),
        ),
    ),
    "empty fields of a status": status_form(
        "status[name]=a&status[send_mail]=&status[mail_template]=&status[color]=&status[url]="
    ),
    "empty filters": listing(
        "fields=&limit=&page=&since_id=&name=&sku=&created_at_min=&created_at_max="
        "&updated_at_min=&updated_at_max="
    ),
    "empty filters of a count": Row(
        "", path=f"{STATUSES}/count?name=&sku=&since_id=", method="GET"
    ),
    "a blank text": stage("invalid-param", "stage: must not be blank", stage=" "),
    "an empty text of JSON": stage("invalid-param", "stage: empty", stage=""),
    # what is not JSON, or JSON as something else
    "JSON sent as a form": Row(
        "invalid-content-type",
        orjson.dumps(STAGE),
        content_type=FORM,
        message="`Content-Type: application/json`",
    ),
    "a list sent as a form": Row("invalid-content-type", b" [1]", content_type=FORM),
    "percent-encoded JSON sent as a form": Row(
        "invalid-content-type", b"%7B%22stage%22%3A1%7D", content_type=FORM
    ),
    "a trailing comma": plain(SEED_SAMPLE, "a comma before the closing } at line 4, column 17"),
    "latin-1": plain('{"stage":"ó"}'.encode("latin-1"), "the body is not UTF-8"),
    "UTF-16": plain('{"stage":"a"}'.encode("utf-16"), "the body is UTF-16 or UTF-32"),
    "a byte order mark": plain(b"\xef\xbb\xbf{}", "begins with a byte order mark"),
    "base64 with blanks at its ends": log_in(b" \n" + CREDENTIALS + b" \t\n", OK),
    "base64 with percent signs": log_in(
        CREDENTIALS.replace(b"=", b"%3D") + b"%3D", "invalid-encoded-params"
    ),
    # names
    "dotted names": stage(
        ignored="appointment.appt_id, order.notes",
        **{"appointment.appt_id": 5, "order.notes": "n"},
    ),
    "names that do not look like names": stage(
        ignored="stagee, +3", stagee=1, **{"a b": 1, "eyJhIjoxfQ": 1, "x" * 33: 1}
    ),
    "hashes that are not stored": stage(
        ignored="appointment, client, order", update_status=False, **HASHES
    ),
    "one hash that is not stored, and an unknown param": stage(
        ignored="stagee, order", update_status=False, stagee=1, order={}
    ),
    "hashes that are stored": stage(**HASHES),
    # idempotency keys
    "a key on a route that takes none": Row(
        "invalid-param",
        {"status": {"name": "a"}},
        path=f"{STATUSES}/4",
        method="PUT",
        headers=KEY,
        errors=(REFUSED_KEY,),
    ),
    "a key on a route of Plano that takes none": Row(
        "invalid-param", path="/api/v1/sessions/read", headers=KEY, errors=(REFUSED_KEY,)
    ),
    "a key on a route that reads": Row("", path=STATUSES, method="GET", headers=KEY),
    "a key on a route that takes one": Row(OK, STAGE, headers=KEY),
    # wording
    "a word for an integer": stage("invalid-param", f"order_id: {NOT_AN_INTEGER}", order_id="nine"),
    "a large integer": stage("invalid-param", f"order_id: {OUT_OF_RANGE}", order_id=2**63),
    "a large integer in a form": stage_form(
        f"created_by_id={'9' * 30}", "invalid-param", f"created_by_id: {OUT_OF_RANGE}"
    ),
    "a value that is not an option": Row(
        "invalid-param",
        {"status": {"name": "a", "send_mail": True}},
        path=STATUSES,
        errors=("status.send_mail: must be one of 0, 1",),
    ),
    "a time in another format": listing(
        "created_at_min=2011-06-19", "invalid-param", f"created_at_min: {TIME}"
    ),
}


async def answer_to(client: Client, row: Row) -> httpx2.Response:
    headers = {
        "authorization": f"Bearer {client.tokens['employee']}",
        **({"content-type": row.content_type} if row.body else {}),
        **row.headers,
    }
    content = row.body if isinstance(row.body, bytes) else orjson.dumps(row.body)
    return await client.request(row.method, row.path, content=content, headers=headers)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_request_of_a_caller_is_answered_as_documented(client: Client, row: Row) -> None:
    """A row without a status is a success in the Shoplo dialect, whose answer has none."""
    answer = await answer_to(client, row)
    body = answer.json()
    slug = body.get("error", body["status"]) if "status" in body else ""
    slug = slug if isinstance(slug, str) else ""
    assert (slug, answer.status_code == 200) == (row.status, row.status in ("", OK)), body
    errors = [f"{error['attr']}: {error['message']}" for error in body.get("errors", ())]
    assert sorted(errors) == sorted(row.errors)
    assert answer.headers.get("x-ignored-params") == row.ignored
    assert row.message in body.get("message", body.get("error_msg", ""))


async def test_order_status_of_an_answer_may_be_sent_back(client: Client) -> None:
    answer = await client.create_stage(order_request_id=1101)
    status = answer.json()["data"]["order_status"]
    assert status["order_id"] is None
    again = await client.create_stage(**{**status, "stage": "again", "update_status": True})
    assert again.json()["data"]["order_status"]["order_stage_id"] > status["order_stage_id"]


async def test_creator_with_an_empty_name_is_the_user_of_the_id(client: Client) -> None:
    empty = {"created_by": "", "updated_by": ""}
    answer = await client.create_stage(order_id=9, created_by_id=2, updated_by_id=3, **empty)
    data = answer.json()["data"]
    assert data["order_stage"]["created_by"] == "Ben Stone"
    assert data["order_status"]["updated_by"] == "Cleo Marsh"


async def test_empty_filter_selects_all(client: Client) -> None:
    headers = {"authorization": f"Bearer {client.tokens['employee']}"}
    every = (await client.request("GET", STATUSES, headers=headers)).json()
    query = "?fields=&name=&sku=&limit=&since_id=&created_at_min="
    assert (await client.request("GET", STATUSES + query, headers=headers)).json() == every
    assert len(every["statuses"]) == 5


async def test_repeat_with_a_key_on_a_route_that_takes_none_writes_nothing(client: Client) -> None:
    row = ROWS["a key on a route that takes none"]
    for _ in range(2):
        assert (await answer_to(client, row)).status_code == 400
    [status] = await execute(client.database_url, "select name from statuses where id = 4")
    assert status["name"] == "Anulowane"


async def test_hashes_of_one_call_in_a_batch_are_named_in_its_own_answer(client: Client) -> None:
    headers = {"idempotency-key": "k", "authorization": f"Bearer {client.tokens['employee']}"}
    body = {**STAGE, "update_status": False, "order": {"notes": "n"}}
    answer = await client.post(CREATE, body, headers=headers)
    assert answer.headers["x-ignored-params"] == "order"
    replay = await client.post(CREATE, {**body, "note": 1}, headers=headers)
    assert replay.headers["idempotent-replayed"] == "true"
    assert replay.headers["x-ignored-params"] == "note"
