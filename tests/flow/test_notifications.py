"""Notifications: what raises them, what is counted as one, and what resolves them."""

import asyncio
import contextlib
import logging

import httpx2
import pytest
from support.harness import Client, execute, on, serving
from support.mail import disconnect_database, notifications, wait_for_rows
from support.probe import SECRET, actions

from gateway.database.connect import connect
from gateway.database.errors import DatabaseError
from gateway.notifications import late_workers, recorder
from gateway.outbox import admin
from gateway.serve import maintenance
from gateway.stages.respond import Trace

OPEN = "select from gateway.notifications where resolved_at is null"
ALL = "select from gateway.notifications"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers write notifications and check for problems more often."""
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 0.05)
    monkeypatch.setattr(late_workers, "CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(late_workers, "RECOVERY_DELAY", 0.3)
    monkeypatch.setattr(maintenance, "TICK", 0.05)


async def crash(client: Client, text: str = SECRET) -> httpx2.Response:
    params = {"token": client.tokens["employee"], "text": text}
    return await client.post("/api/v1/probe/crash", params)


async def check_repeatedly(client: Client, times: int = 5) -> None:
    """Let the worker check for problems several times more."""
    for _ in range(times):
        for job in client.worker.maintenance._jobs:
            job.due = 0.0
        with contextlib.suppress(DatabaseError):
            await client.worker.maintenance._run_due_jobs()
        await client.worker.recorder.flush()


async def test_notification_of_a_repeated_crash_is_counted_up(probe: Client) -> None:
    answers = [await crash(probe), await crash(probe, "another text")]
    await wait_for_rows(probe.database_url, f"{ALL} where count = 2", 1)
    [row] = await notifications(probe.database_url)
    assert (row["kind"], row["severity"]) == ("application-crash", "error")
    assert row["route"] == "probe.crash"
    assert row["request_id"] == answers[-1].json()["request_id"]
    assert row["first_seen"] <= row["last_seen"]
    assert row["message"].startswith("RuntimeError at support/probe.py:")
    assert row["message"].endswith(" in crash")
    for value in (SECRET, "another text", probe.tokens["employee"]):
        assert value not in str(row)


async def test_notification_of_a_crash_is_never_resolved_automatically(probe: Client) -> None:
    await crash(probe)
    await wait_for_rows(probe.database_url, OPEN, 1)
    await execute(
        probe.database_url, "update gateway.notifications set last_seen = now() - interval '9 d'"
    )
    await check_repeatedly(probe)
    assert len(await execute(probe.database_url, OPEN)) == 1


async def test_notification_is_raised_again_if_a_resolved_crash_returns(probe: Client) -> None:
    await crash(probe)
    await wait_for_rows(probe.database_url, OPEN, 1)
    await execute(
        probe.database_url,
        "update gateway.notifications set resolved_at = now(), resolved_by = 'x'",
    )
    await crash(probe)
    await wait_for_rows(probe.database_url, OPEN, 1)
    assert [row["count"] for row in await notifications(probe.database_url)] == [1, 1]


async def test_notifications_of_different_crashes_are_separate(probe: Client) -> None:
    await crash(probe)
    await probe.post("/api/v1/probe/stray", {"token": probe.tokens["employee"]})
    await wait_for_rows(probe.database_url, OPEN, 2)
    kinds = [(row["kind"], row["route"]) for row in await notifications(probe.database_url)]
    assert set(kinds) == {
        ("application-crash", "probe.crash"),
        ("application-crash", "probe.stray"),
    }


WORKER = """
insert into gateway.workers (id, name, revision, seen_at, trouble)
select gen_random_uuid(), 'another', max(id) - $1::bigint, now(), $2 from gateway.revisions
"""
OLD = "update gateway.revisions set applied_at = now() - interval '1 minute'"


@pytest.mark.parametrize(
    ("behind", "problem", "message"),
    [(0, "it cannot build it", ": it cannot build it"), (1, None, "another serves revision ")],
)
async def test_notification_of_a_late_worker_is_resolved_when_it_catches_up(
    client: Client, behind: int, problem: str | None, message: str
) -> None:
    url = client.database_url
    await execute(url, OLD)
    await execute(url, WORKER, behind, problem)
    await wait_for_rows(url, OPEN, 1)
    [row] = await notifications(url)
    assert (row["kind"], row["severity"], row["route"]) == ("worker-late", "error", None)
    assert message in row["message"]
    await check_repeatedly(client)
    [again] = await notifications(url)
    assert again["count"] == 1
    await execute(url, "delete from gateway.workers where name = 'another'")
    await wait_for_rows(url, OPEN, 0)
    [row] = await notifications(url)
    assert row["resolved_by"] == "gateway"


async def test_notification_of_a_late_worker_waits_and_ignores_dead_workers(client: Client) -> None:
    url = client.database_url
    await execute(url, "update gateway.revisions set applied_at = now()")
    await execute(url, WORKER, 1, None)
    await check_repeatedly(client)
    await execute(
        url, "update gateway.workers set seen_at = now() - interval '1 h' where name = 'another'"
    )
    await execute(url, OLD)
    await check_repeatedly(client)
    assert not await notifications(url)


async def test_notification_of_a_database_outage_is_written_and_resolved_afterwards(
    probe: Client, caplog: pytest.LogCaptureFixture
) -> None:
    url, dsn = probe.database_url, probe.worker.listener._dsn
    await crash(probe)
    await wait_for_rows(url, OPEN, 1)
    await disconnect_database(probe)
    with caplog.at_level(logging.CRITICAL):
        probe.worker.recorder.record_crash(raised_error(), "while away", Trace())
        await check_repeatedly(probe)
    assert len(await notifications(url)) == 1
    probe.worker.listener._dsn = dsn
    await wait_for_rows(url, f"{ALL} where request_id = 'while away'", 1)
    await wait_for_rows(url, f"{ALL} where kind = 'database-lost'", 1)
    await wait_for_rows(url, f"{ALL} where kind = 'database-lost' and resolved_by = 'gateway'", 1)
    [lost] = [row for row in await notifications(url) if row["kind"] == "database-lost"]
    assert (lost["severity"], lost["count"]) == ("critical", 1)
    assert lost["first_seen"] < lost["last_seen"]
    assert lost["message"].startswith("A worker had no database for ")
    # The crashes stay open.
    assert len(await execute(url, f"{OPEN} and kind = 'application-crash'")) == 2


def raised_error() -> RuntimeError:
    """An error with a traceback."""
    with pytest.raises(RuntimeError) as caught:
        raise_error(SECRET)
    return caught.value


def raise_error(text: str) -> None:
    raise RuntimeError(text)


async def test_notifications_are_flushed_when_the_worker_stops(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 3600.0)
    async with serving(database, tokens, actions=actions()) as client:
        client.worker.recorder.record_crash(raised_error(), "the last one", Trace())
        assert not await notifications(database)
    [row] = await notifications(database)
    assert row["request_id"] == "the last one"


QUEUE = """
select gateway.queue_mail('{"seconds": 60}', 'order-stage-changed', 'x', 'y', '{}', null, null)
from generate_series(1, 2)
"""
FAIL = """
update gateway.outbox set state = 'parked', fault = 'f';
select gateway.raise_notification('mandrill-email-failed', 'error', 'f', 'm', 'r', 'i', now(), 1)
"""


async def test_notification_of_two_messages_is_resolved_when_both_are_sent_at_once(
    database: str,
) -> None:
    await execute(database, QUEUE)
    for statement in FAIL.split(";"):
        await execute(database, statement)
    first, second = await connect(database), await connect(database)
    async with first.transaction():
        await first.execute("update gateway.outbox set state = 'sent' where id = 1")
        other = asyncio.create_task(
            second.execute("update gateway.outbox set state = 'sent' where id = 2")
        )
        await asyncio.wait({other}, timeout=0.3)
    await other
    await asyncio.gather(first.close(), second.close())
    assert not await execute(database, OPEN)


@pytest.mark.parametrize("in_progress", ["claimed_at = now()", "awaited_until = now() + '1 min'"])
async def test_outbox_message_in_progress_cannot_be_retried_or_discarded(
    database: str, in_progress: str
) -> None:
    """A message is in progress during an attempt, and while its call still waits for one."""
    await execute(database, QUEUE)
    await execute(database, "update gateway.outbox set awaited_until = null")
    await execute(database, f"update gateway.outbox set {in_progress} where id = 1")
    for work in (admin.retry, admin.discard):
        with pytest.raises(admin.OutboxError, match=r"messages cannot be (retried|discarded): 1;"):
            await on(database, lambda db, work=work: work(db, [1, 2]))  # type: ignore[misc]
    assert len(await execute(database, "select from gateway.outbox where state = 'waiting'")) == 2
