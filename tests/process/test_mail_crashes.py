"""A worker that dies at any point of a call: the repeated call is done and mailed once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.harness import Client, execute
from support.mail import CREATE, STAGE, MailSetup, create, messages, wait_for_rows
from support.mandrill import KEY, running_stand_in
from support.processes import POINTS, WHEN, KillableProcesses

from gateway.dev.mandrill import API
from gateway.outbox import dispatcher

BEFORE_COMMIT = [*POINTS][: [*POINTS].index("commit")]
UNKNOWN = {("commit", "during")}
"""Crashes after which the call may be done or not."""

SENT_TWICE = {
    *(("mail", "during"), ("mail", "after")),
    *(("mail noted", "before"), ("mail noted", "during")),
}
"""Crashes after which Mandrill may have the mail without a record in the database."""

CRASHES = [(point, when) for point in POINTS for when in WHEN]
NAME = "dying"


@pytest.fixture
def mortals() -> Iterator[KillableProcesses]:
    mortals = KillableProcesses()
    yield mortals
    mortals.close()


@pytest.fixture
def post(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[MailSetup]:
    for interval in ("POLL_INTERVAL", "IDLE_INTERVAL"):
        monkeypatch.setattr(dispatcher, interval, 0.05)
    with running_stand_in() as (stand_in, address):
        yield MailSetup(database, tokens, stand_in, address)


async def crash(
    post: MailSetup, mortals: KillableProcesses, folder: Path, crash: tuple[str, str], n: int
) -> None:
    """Let a worker take a call and die; return when PostgreSQL has closed its sessions."""
    joint = "&" if "?" in post.database else "?"
    settings = {
        "GATEWAY_DATABASE_URL": f"{post.database}{joint}application_name={NAME}",
        "GATEWAY_DATA_DIR": str(folder),
        "GATEWAY_MANDRILL_URL": post.address + API,
        "GATEWAY_MANDRILL_API_KEY": KEY,
        "GATEWAY_CHECK_RETURNS": "all",
    }
    request = {
        "method": "POST",
        "url": CREATE,
        "json": {"token": post.tokens["employee"], **STAGE, "order_id": n},
        "headers": {"idempotency-key": f"k{n}"},
    }
    await mortals.begin("call", settings, *crash, request)
    assert await mortals.end("wait") == 9, "it died where it should"
    gone = f"select from pg_stat_activity where application_name = '{NAME}'"
    await wait_for_rows(post.database, gone, 0)


async def of_order(post: MailSetup, n: int) -> tuple[list[Any], list[dict[str, Any]]]:
    """The stages of an order, and their mail."""
    stages = await execute(post.database, "select * from order_stages where order_id = $1", n)
    ids = [stage["id"] for stage in stages]
    return stages, [row for row in await messages(post.database) if row["about_id"] in ids]


async def expect_first_answer(
    client: Client, post: MailSetup, crash: tuple[str, str], n: int
) -> None:
    """The answer to a repeat that comes before the mail can have been retried."""
    stages, mail = await of_order(post, n)
    is_done = bool(stages)
    assert len(stages) == len(mail)
    assert crash in UNKNOWN or is_done == (crash[0] not in BEFORE_COMMIT and crash != BEGUN)
    is_sent = is_done and mail[0]["state"] == "sent"
    answer = await create(client, f"k{n}", order_id=n)
    slug = "action-successful" if is_sent or not is_done else "idempotency-conflict"
    assert answer.json()["status"] == slug
    assert ("idempotent-replayed" in answer.headers) == is_sent


BEGUN = ("commit", "before")
LATER = (
    "update gateway.outbox set next_at = now(), awaited_until = now() "
    "where state = 'waiting' and about_id = $1"
)


async def expect_final_answer(client: Client, post: MailSetup, n: int) -> None:
    """The answer after the lease of the dead worker has ended: it is the true one."""
    [stage], [_] = await of_order(post, n)
    await execute(post.database, LATER, stage["id"])
    while (answer := await create(client, f"k{n}", order_id=n)).status_code != 200:
        assert answer.json()["status"] == "mandrill-email-failed"
    [stage], [mail] = await of_order(post, n)
    assert mail["state"] == "sent"
    data = answer.json()["data"]["order_stage"]
    assert (data["id"], data["notified_at"]) == (stage["id"], stage["notified_at"].isoformat())


def arrivals(post: MailSetup, message_id: int) -> int:
    """How often a message reached Mandrill."""
    metadata = {"outbox": f"outbox-{message_id}"}
    return sum(mail.message["metadata"] == metadata for mail in post.stand_in.received)


async def test_call_whose_worker_dies_is_done_once_and_answered_truly(
    post: MailSetup, mortals: KillableProcesses, tmp_path: Path
) -> None:
    async with post.serving() as client:
        for n, moment in enumerate(CRASHES, 1):
            await crash(post, mortals, tmp_path, moment, n)
            await expect_first_answer(client, post, moment, n)
            await expect_final_answer(client, post, n)
            _, [mail] = await of_order(post, n)
            times = arrivals(post, mail["id"])
            assert times == 1 or (moment in SENT_TWICE and times == 2), f"{moment}: {times}"
