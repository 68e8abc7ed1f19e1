"""order_stages.create on a real database, rule by rule of its documentation."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from support.harness import Client, execute, serving
from support.manifests import set_events

CREATE = "/api/v1/order_stages/create"
ISO_8601_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
STAGE_KEYS = (
    "id order_id order_request_id stage stage_trigger stage_start_at created_at_fm created_by_id "
    "created_by notes event_slug notified_at"
).split()
STATUS_KEYS = (
    "order_request_id order_id order_stage_id stage stage_trigger stage_start_at client_id "
    "client_billing_postal_code appt_id appt_confirmed appt_duration_time appt_start_at "
    "appt_stop_at appt_cancel_reason appt_cancel_note order_notes delivery_rush due_date "
    "external_id service_type services_addon_array order_cancel_reason order_cancel_note "
    "updated_by_id updated_by updated_at"
).split()
ALL_PARAMS = {
    "stage_trigger": "phone",
    "stage_at_mt": "07/04/2026 09:30:00",
    "created_at_mt": "2026-07-04T09:31:00",
    "created_by_id": 2,
    "notes": "Zażółć gęślą jaźń",
    "updated_by_id": 3,
    "notified_at_mt": "2026-07-04T15:32:00Z",
    "event_slug": "stage-changed",
    "appointment": {
        "appt_id": 12,
        "appt_confirmed": "yes",
        "appt_duration_time": "90",
        "appt_start_at": "07/08/2026 10:00",
        "appt_stop_at": "07/08/2026 11:30",
        "cancel_reason": "rain",
        "cancel_note": "heavy",
    },
    "client": {"client_id": 1, "client_billing_postal_code": 2134},
    "order": {
        "notes": "gate code 1",
        "delivery_rush": True,
        "due_date": "soon",
        "external_id": "X-1",
        "service_type": "tour",
        "services_addon_array": ["drone", {"n": 2}],
        "cancel_reason": "twice",
        "cancel_note": "see 6",
    },
}


async def data(client: Client, /, **params: Any) -> Any:
    response = await client.create_stage(**params)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def rows(client: Client, table: str) -> list[dict[str, Any]]:
    records = await execute(client.database_url, f"select * from {table} order by 1")
    return [dict(record) for record in records]


async def test_order_stages_answer_has_the_documented_keys_in_order(client: Client) -> None:
    answer = await data(client, order_id=7)
    assert list(answer) == ["order_stage", "order_status"]
    assert list(answer["order_stage"]) == STAGE_KEYS
    assert list(answer["order_status"]) == STATUS_KEYS


async def test_order_stages_params_reach_their_columns(client: Client) -> None:
    answer = await data(client, order_id=7, **ALL_PARAMS)
    stage, status = answer["order_stage"], answer["order_status"]
    assert stage == {
        "id": stage["id"],
        "order_id": 7,
        "order_request_id": 1007,
        "stage": "scheduled",
        "stage_trigger": "phone",
        "stage_start_at": "2026-07-04T15:30:00.000000+00:00",
        "created_at_fm": "2026-07-04T15:31:00.000000+00:00",
        "created_by_id": 2,
        "created_by": "Ben Stone",
        "notes": "Zażółć gęślą jaźń",
        "event_slug": "stage-changed",
        "notified_at": "2026-07-04T15:32:00.000000+00:00",
    }
    assert status == {
        "order_request_id": 1007,
        "order_id": 7,
        "order_stage_id": stage["id"],
        "stage": "scheduled",
        "stage_trigger": "phone",
        "stage_start_at": "2026-07-04T15:30:00.000000+00:00",
        "client_id": 1,
        "client_billing_postal_code": "02134",
        "appt_id": 12,
        "appt_confirmed": "yes",
        "appt_duration_time": "90",
        "appt_start_at": "07/08/2026 10:00",
        "appt_stop_at": "07/08/2026 11:30",
        "appt_cancel_reason": "rain",
        "appt_cancel_note": "heavy",
        "order_notes": "gate code 1",
        "delivery_rush": True,
        "due_date": "soon",
        "external_id": "X-1",
        "service_type": "tour",
        "services_addon_array": ["drone", {"n": 2}],
        "order_cancel_reason": "twice",
        "order_cancel_note": "see 6",
        "updated_by_id": 3,
        "updated_by": "Cleo Marsh",
        "updated_at": status["updated_at"],
    }


async def test_order_stages_answer_equals_the_stored_rows(client: Client) -> None:
    answer = await data(client, order_id=7, **ALL_PARAMS)
    [stage], [status] = await rows(client, "order_stages"), await rows(client, "order_statuses")
    for answered, stored in ((answer["order_stage"], stage), (answer["order_status"], status)):
        assert {name: as_stored(answered[name], stored[name]) for name in answered} == stored


def as_stored(answered: Any, stored: Any) -> Any:
    """A value of the answer as the table stores it: a time has six digits of a second."""
    if not isinstance(stored, datetime):
        return answered
    assert ISO_8601_UTC.fullmatch(answered)
    return datetime.fromisoformat(answered)


async def test_order_stages_times_default_to_now_in_utc(client: Client) -> None:
    before = datetime.now(UTC)
    stage = (await data(client, order_id=7))["order_stage"]
    for name in ("stage_start_at", "created_at_fm"):
        assert stage[name].endswith("+00:00")
        assert abs(datetime.fromisoformat(stage[name]) - before) < timedelta(minutes=1)
    assert stage["notified_at"] is None


async def test_order_status_is_unchanged_without_update_status(client: Client) -> None:
    await data(client, order_id=7, stage="ordered")
    before = await rows(client, "order_statuses")
    answer = await data(client, order_id=7, **{**ALL_PARAMS, "update_status": False})
    assert answer["order_status"] is None
    assert await rows(client, "order_statuses") == before
    assert len(await rows(client, "order_stages")) == 2


async def test_order_stages_nested_params_are_validated_without_update_status(
    client: Client,
) -> None:
    response = await client.create_stage(
        order_id=7, update_status=False, appointment={"appt_id": "x"}, client={"client_id": 99}
    )
    assert response.json()["errors"][0]["attr"] == "appointment.appt_id"
    response = await client.create_stage(order_id=7, update_status=False, client={"client_id": 99})
    assert response.json()["errors"] == [{"attr": "client.client_id", "message": "unknown client"}]


async def test_order_status_absent_params_keep_their_values(client: Client) -> None:
    await data(client, order_id=7, **ALL_PARAMS)
    later = {"appointment": {"appt_confirmed": "no"}, "order": {"delivery_rush": False}}
    status = (await data(client, order_id=7, stage="hold", **later))["order_status"]
    assert (status["appt_confirmed"], status["appt_id"]) == ("no", 12)
    assert (status["delivery_rush"], status["order_notes"]) == (False, "gate code 1")
    assert (status["stage"], status["stage_trigger"]) == ("hold", None)
    assert len(await rows(client, "order_statuses")) == 1


@pytest.mark.parametrize(
    ("sent", "order_id", "order_request_id"),
    [
        ({"order_id": 7}, 7, 1007),
        ({"order_request_id": 1007}, 7, 1007),
        ({"order_id": 7, "order_request_id": 1007}, 7, 1007),
        ({"order_request_id": 1105}, None, 1105),
    ],
)
async def test_order_is_found_by_either_id(
    client: Client, sent: dict[str, int], order_id: int | None, order_request_id: int
) -> None:
    answer = await data(client, **sent)
    for part in answer.values():
        assert (part["order_id"], part["order_request_id"]) == (order_id, order_request_id)


async def test_order_status_gets_its_order_id_once_the_order_exists(client: Client) -> None:
    assert (await data(client, order_request_id=1105))["order_status"]["order_id"] is None
    await execute(client.database_url, "insert into orders values (500, 1105, 1)")
    assert (await data(client, order_request_id=1105))["order_status"]["order_id"] == 500


UNKNOWN = [
    ({"order_id": 4711}, ["order_id"]),
    ({"order_id": 0}, ["order_id"]),
    ({"order_request_id": 4711}, ["order_request_id"]),
    ({"order_id": 7, "order_request_id": 4711}, ["order_request_id"]),
    ({"order_id": 7, "order_request_id": 1008}, ["order_request_id"]),
    ({"order_id": 7, "order_request_id": 1105}, ["order_request_id"]),
    ({"order_id": 7, "created_by_id": 99}, ["created_by_id"]),
    ({"order_id": 7, "created_by_id": 99, "created_by": "Eve"}, ["created_by_id"]),
    ({"order_id": 7, "updated_by_id": 99, "updated_by": "Eve"}, ["updated_by_id"]),
    ({"order_id": 7, "client": {"client_id": 99}}, ["client.client_id"]),
    ({"order_id": 7, "stage_at_mt": "soon"}, ["stage_at_mt"]),
    ({"order_id": 7, "event_slug": "stage-chnged"}, ["event_slug"]),
    ({"order_id": 7, "stage": ""}, ["stage"]),
    ({"order_id": 7, "stage": " \t\u00a0"}, ["stage"]),
    ({"order_id": 7, "stage_at_mt": "2026-03-08T02:30:00"}, ["stage_at_mt"]),
    (
        {"order_id": 4711, "created_at_mt": "x", "created_by_id": 99, "event_slug": "x"},
        ["created_at_mt", "event_slug", "order_id", "created_by_id"],
    ),
]


@pytest.mark.parametrize(("sent", "attrs"), UNKNOWN)
async def test_order_stages_unknown_reference_is_refused_and_nothing_is_written(
    client: Client, sent: dict[str, Any], attrs: list[str]
) -> None:
    response = await client.create_stage(**sent)
    assert (response.status_code, response.json()["status"]) == (400, "invalid-param")
    assert [error["attr"] for error in response.json()["errors"]] == attrs
    assert not await rows(client, "order_stages")


async def test_order_stages_without_either_id_reports_both_as_missing(client: Client) -> None:
    response = await client.create_stage(stage=...)
    assert response.json()["status"] == "missing-param"
    missing = {error["attr"] for error in response.json()["errors"]}
    assert missing == {"stage", "order_id", "order_request_id"}


@pytest.mark.parametrize(
    ("caller", "sent", "by_id", "by"),
    [
        ("employee", {}, 1, "Ada Fields"),
        ("application", {}, None, None),
        ("employee", {"created_by_id": 3}, 3, "Cleo Marsh"),
        ("employee", {"created_by_id": 3, "created_by": "Eve"}, 3, "Eve"),
        ("employee", {"created_by": "Eve"}, None, "Eve"),
        ("employee", {"created_by_id": 3, "created_by": ""}, 3, "Cleo Marsh"),
        ("employee", {"created_by": ""}, 1, "Ada Fields"),
        ("application", {"created_by_id": 2}, 2, "Ben Stone"),
    ],
)
async def test_order_stages_author_is_the_name_then_the_id_then_the_caller(
    client: Client, caller: str, sent: dict[str, Any], by_id: int | None, by: str | None
) -> None:
    stage = (await data(client, caller=caller, order_id=7, **sent))["order_stage"]
    assert (stage["created_by_id"], stage["created_by"]) == (by_id, by)
    same = {name.replace("created", "updated"): value for name, value in sent.items()}
    status = (await data(client, caller=caller, order_id=7, **same))["order_status"]
    assert (status["updated_by_id"], status["updated_by"]) == (by_id, by)


@pytest.mark.parametrize(
    ("sent", "client_id", "code"),
    [
        (None, 1, "02134"),
        ({"client_id": 5}, 5, "80202"),
        ({"client_billing_postal_code": 501}, 1, "00501"),
        ({"client_id": 5, "client_billing_postal_code": 123456789}, 5, "123456789"),
    ],
)
async def test_order_status_client_is_the_given_one_or_that_of_the_order(
    client: Client, sent: dict[str, int] | None, client_id: int, code: str
) -> None:
    await execute(
        client.database_url, "insert into gateway.clients values (5, null, 'Acme', '80202')"
    )
    status = (await data(client, order_id=7, **({"client": sent} if sent else {})))["order_status"]
    assert (status["client_id"], status["client_billing_postal_code"]) == (client_id, code)


async def test_order_stages_unknown_stage_name_is_accepted(client: Client) -> None:
    assert (await data(client, order_id=7, stage="ü" * 255))["order_stage"]["stage"] == "ü" * 255
    response = await client.create_stage(order_id=7, stage="ü" * 256)
    assert response.json()["errors"] == [
        {"attr": "stage", "message": "must have at most 255 characters"}
    ]


async def test_order_status_after_64_concurrent_creates_shows_the_newest_stage(
    client: Client,
) -> None:
    calls = [
        client.create_stage(order_id=7, stage=f"s{n}", update_status=n % 4 != 0) for n in range(64)
    ]
    responses = await asyncio.gather(*calls)
    assert Counter(response.status_code for response in responses) == {200: 64}
    answered = {r.json()["data"]["order_stage"]["id"]: r.json() for r in responses}
    stored = {row["id"]: row for row in await rows(client, "order_stages")}
    assert stored.keys() == answered.keys()
    [status] = await rows(client, "order_statuses")
    highest = max(id_ for id_, row in stored.items() if int(row["stage"][1:]) % 4 != 0)
    assert (status["order_stage_id"], status["stage"]) == (highest, stored[highest]["stage"])


async def test_order_stages_of_64_concurrent_creates_for_32_orders_are_all_stored(
    client: Client,
) -> None:
    calls = [client.create_stage(order_id=n % 32 + 1, stage=f"s{n}") for n in range(64)]
    responses = await asyncio.gather(*calls)
    assert Counter(response.status_code for response in responses) == {200: 64}
    assert len(await rows(client, "order_stages")) == 64
    stages = {row["id"]: row for row in await rows(client, "order_stages")}
    newest = {row["order_id"]: row["id"] for row in sorted(stages.values(), key=lambda r: r["id"])}
    statuses = await rows(client, "order_statuses")
    assert {row["order_id"]: row["order_stage_id"] for row in statuses} == newest


async def test_order_stages_unknown_event_says_so(client: Client) -> None:
    answer = (await client.create_stage(order_id=7, event_slug="stage-chnged")).json()
    assert answer["errors"] == [{"attr": "event_slug", "message": "unknown event"}]


async def test_order_stages_any_event_is_accepted_if_the_settings_name_none(
    database: str, tokens: dict[str, str]
) -> None:
    await set_events(database, {})
    async with serving(database, tokens) as client:
        stage = (await data(client, order_id=7, event_slug="whatever"))["order_stage"]
    assert (stage["event_slug"], stage["notified_at"]) == ("whatever", None)


async def test_order_stages_follow_a_change_of_the_events(client: Client) -> None:
    await set_events(client.database_url, {"order-held": {}})
    token = client.tokens["employee"]
    held, changed = [
        {"token": token, "order_id": 7, "update_status": True, "stage": "s", "event_slug": slug}
        for slug in ("order-held", "stage-changed")
    ]
    revision = {"x-min-registry-revision": "2"}
    response = await client.post(CREATE, held, headers=revision)
    assert response.status_code == 200
    response = await client.post(CREATE, changed)
    assert response.json()["status"] == "invalid-param"


async def test_order_stages_answer_is_compact_with_fixed_width_times(client: Client) -> None:
    addons = ["a", "b", {"n": [1, 2]}, "x, y: z"]
    response = await client.create_stage(
        order_id=7, stage_at_mt="2026-07-04T15:32:00.500Z", order={"services_addon_array": addons}
    )
    assert response.content == orjson.dumps(response.json())
    stored = response.json()["data"]
    assert stored["order_stage"]["stage_start_at"] == "2026-07-04T15:32:00.500000+00:00"
    assert stored["order_status"]["stage_start_at"] == "2026-07-04T15:32:00.500000+00:00"
    assert stored["order_status"]["services_addon_array"] == addons


async def test_order_stages_empty_form_fields_are_absent(client: Client) -> None:
    form = {
        "order_id": "7",
        "order_request_id": "",
        "update_status": "true",
        "stage": "hold",
        "stage_at_mt": "",
        "event_slug": "",
        "created_by": "",
        "appointment[appt_id]": "",
    }
    header = {"authorization": f"Bearer {client.tokens['employee']}"}
    response = await client.request(
        "POST", "/api/v1/order_stages/create", data=form, headers=header
    )
    assert response.status_code == 200, response.text
    stage = response.json()["data"]["order_stage"]
    assert (stage["event_slug"], stage["created_by"]) == (None, "Ada Fields")


async def test_order_stages_writes_both_rows_or_neither(client: Client) -> None:
    await execute(
        client.database_url, "alter table order_statuses add check (stage <> 'impossible')"
    )
    response = await client.create_stage(order_id=7, stage="impossible")
    assert response.json()["status"] == "application-crash"
    assert not await rows(client, "order_stages")
