"""Group commit: calls run together in a batch, and each fails only for its own reasons."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from support.harness import Client, batched_action, connection_of, execute, serving, until
from support.manifests import applied, desired

from gateway import RETRY_SINGLY, Call, Database, Outcome, Rejection, Reply
from gateway.database.connect import connect
from gateway.upstreams import batch
from gateway.upstreams.action import Batch
from gateway.upstreams.python import Actions

PARAMS = {"properties": {name: {"type": "string"} for name in ("what", "line")}}
ROUTE = {"auth": ["session"], "idempotency": "optional", "params": PARAMS, "timeout": "60s"}
INSERT = "insert into gateway.companies (name) select unnest($1::text[]) returning id"


class CompanyBatches:
    """A batched action that writes a row for each call, and then fails as a call's `what` says."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.singly: list[bool] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.running = self.max_running = 0
        self.action = Batch(self.create, lambda call: call.params.get("line"))

    async def create(self, calls: Sequence[Call], db: Database, *, singly: bool) -> list[Outcome]:
        self.batches.append([call.params["what"] for call in calls])
        self.singly.append(singly)
        self.running += 1
        self.max_running = max(self.running, self.max_running)
        try:
            await self.hold.wait()
            return await self._write(calls, db, singly=singly)
        finally:
            self.running -= 1

    async def _write(self, calls: Sequence[Call], db: Database, *, singly: bool) -> list[Outcome]:
        whats = [call.params["what"] for call in calls]
        if "unreadable" in whats:
            raise KeyError
        refused = [what == "refuse" for what in whats]
        later = [what == "singly" and not singly for what in whats]
        written = [
            what
            for what, is_refused, is_later in zip(whats, refused, later, strict=True)
            if not (is_refused or is_later)
        ]
        # A division by zero if a call is bad: the server refuses the whole statement.
        query = f"{INSERT}, 1 / (case when $2 then 0 else 1 end)"
        rows = iter(await db.fetch(query, written, "bad" in whats))
        if "crash" in whats:
            raise RuntimeError
        if "short" in whats:
            return []
        return [
            Rejection("invalid-param")
            if is_refused
            else RETRY_SINGLY
            if is_later
            else Reply({"id": next(rows)["id"]})
            for is_refused, is_later in zip(refused, later, strict=True)
        ]


@pytest.fixture
async def kept(database: str, tmp_path: Path) -> str:
    await applied(database, desired(tmp_path, {"kept.create": ROUTE}))
    return database


class Caller:
    """Calls the action, once or several times concurrently."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(
        self, what: str, key: str | None = None, path: str = "kept/create", **params: Any
    ) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.client.tokens['employee']}"}
        headers.update({"idempotency-key": key} if key else {})
        return await self.client.post(f"/api/v1/{path}", {"what": what, **params}, headers=headers)

    async def statuses(self, *whats: str, **params: Any) -> list[str]:
        answers = await asyncio.gather(*(self.call(what, **params) for what in whats))
        return [answer.json()["status"] for answer in answers]

    async def companies(self) -> Counter[str]:
        """How often each name is in the table."""
        rows = await execute(self.client.database_url, "select name from gateway.companies")
        return Counter(row["name"] for row in rows)


@asynccontextmanager
async def calling(
    database: str, tokens: dict[str, str], work: CompanyBatches, **changes: str
) -> AsyncIterator[Caller]:
    actions = Actions({"kept.create": work.action})
    async with serving(database, tokens, actions=actions, **changes) as client:
        yield Caller(client)


async def calls_behind_two_batches(
    caller: Caller, work: CompanyBatches, *whats: str
) -> list[asyncio.Task[httpx2.Response]]:
    """Start two batches that are held, and calls that wait behind them."""
    work.hold.clear()
    running = [asyncio.create_task(caller.call("first"))]
    await until(lambda: work.running == 1)
    running.append(asyncio.create_task(caller.call("second")))
    await until(lambda: work.running == 2)
    waiting = [asyncio.create_task(caller.call(what)) for what in whats]
    line = batched_action(caller.client, "kept.create")
    await until(lambda: len(line._waiting) == len(whats))
    return [*running, *waiting]


async def statuses_of(tasks: Sequence[asyncio.Task[httpx2.Response]]) -> list[str]:
    return [(await task).json()["status"] for task in tasks]


DONE = "action-successful"


async def test_batch_lone_call_runs_immediately(kept: str, tokens: dict[str, str]) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        for n in range(3):
            assert (await caller.call(f"{n}")).json()["status"] == DONE
    assert work.batches == [["0"], ["1"], ["2"]]


async def test_batch_collects_calls_while_two_batches_run(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    names = [f"c{n}" for n in range(100)]
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, *names)
        assert work.batches == [["first"], ["second"]]
        work.hold.set()
        assert await statuses_of(calls) == [DONE] * 102
        ids = [call.result().json()["data"]["id"] for call in calls]
        assert len({*ids}) == 102
        rows = await execute(kept, "select id, name from gateway.companies")
        named = {row["id"]: row["name"] for row in rows}
        # Each call gets the id of its own row.
        assert [named[number] for number in ids] == ["first", "second", *names]
    assert work.max_running == batch.MAX_BATCHES
    assert [len(batch_whats) for batch_whats in work.batches] == [
        1,
        1,
        batch.MAX_BATCH_SIZE,
        100 - batch.MAX_BATCH_SIZE,
    ]
    assert [what for batch_whats in work.batches for what in batch_whats][2:] == names


@pytest.mark.parametrize("bad", ["bad", "unreadable"])
async def test_batch_bad_call_fails_alone(kept: str, tokens: dict[str, str], bad: str) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", bad, "b")
        work.hold.set()
        assert await statuses_of(calls) == [DONE, DONE, DONE, "application-crash", DONE]
        assert await caller.companies() == Counter(["first", "second", "a", "b"])
    # One attempt together, and then one for each call.
    assert len(work.batches) == 2 + 1 + 3


async def test_batch_refused_call_does_not_affect_the_others(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", "refuse", "b")
        work.hold.set()
        assert await statuses_of(calls) == [DONE, DONE, DONE, "invalid-param", DONE]
    assert len(work.batches) == 3


@pytest.mark.parametrize("what", ["crash", "short"])
async def test_batch_that_may_have_committed_is_not_repeated(
    kept: str, tokens: dict[str, str], what: str
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", what)
        work.hold.set()
        assert await statuses_of(calls) == [DONE, DONE, *["application-crash"] * 2]
        assert await caller.companies() == Counter(["first", "second", "a", what])


async def test_batch_with_an_idempotency_key_is_rolled_back_by_a_crash(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a")
        with_key = asyncio.create_task(caller.call("crash", "k"))
        await asyncio.sleep(0.05)
        work.hold.set()
        assert await statuses_of([*calls, with_key]) == [DONE, DONE, DONE, "application-crash"]
        assert await caller.companies() == Counter(["first", "second", "a"])


async def test_batch_with_idempotency_keys_replays_and_refuses_repeats(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        done = await caller.call("a", "k1")
        mixed = [("a", "k1"), ("other", "k1"), ("b", "k2"), ("b", "k2"), ("c", None)]
        work.hold.clear()
        held = [asyncio.create_task(caller.call(f"held{n}")) for n in range(2)]
        await until(lambda: work.running == 1)
        calls = [asyncio.create_task(caller.call(what, key)) for what, key in mixed]
        await asyncio.sleep(0.05)
        work.hold.set()
        statuses = await statuses_of(calls)
        assert statuses == [DONE, "idempotency-conflict", DONE, "idempotency-conflict", DONE]
        assert calls[0].result().content == done.content
        assert calls[0].result().headers["idempotent-replayed"] == "true"
        assert (await caller.call("b", "k2")).content == calls[2].result().content
        assert (await caller.call("other", "k1")).json()["status"] == "idempotency-mismatch"
        assert await statuses_of(held) == [DONE, DONE]
        assert await caller.companies() == Counter(["a", "b", "c", "held0", "held1"])


async def test_batch_calls_with_one_partition_key_run_one_by_one_in_order(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    names = [f"c{n}" for n in range(20)]
    async with calling(kept, tokens, work) as caller:
        assert await caller.statuses(*names, line="x") == [DONE] * 20
        rows = await execute(kept, "select name from gateway.companies order by id")
    assert work.batches == [[name] for name in names]
    assert [row["name"] for row in rows] == names


async def test_batch_calls_with_one_partition_key_do_not_delay_others(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        first = await calls_behind_two_batches(caller, work)
        same_key = [asyncio.create_task(caller.call(f"x{n}", line="x")) for n in range(300)]
        other = asyncio.create_task(caller.call("other"))
        line = batched_action(caller.client, "kept.create")
        await until(lambda: len(line._waiting) == 301)
        work.hold.set()
        assert await statuses_of([*first, other]) == [DONE] * 3
        assert work.batches[2] == ["x0", "other"]
        assert await statuses_of(same_key) == [DONE] * 300


async def test_batch_call_that_asks_to_run_singly_runs_alone(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", "singly", "singly", "b")
        work.hold.set()
        assert await statuses_of(calls) == [DONE] * 6
    assert work.batches[2:] == [["a", "singly", "singly", "b"], ["singly"], ["singly"]]
    assert work.singly == [False] * 3 + [True] * 2


async def test_batch_end_starts_the_next_batch(kept: str, tokens: dict[str, str]) -> None:
    """No further call has to arrive."""
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        held = await calls_behind_two_batches(caller, work)
        waiting = [asyncio.create_task(caller.call(f"c{n}", line="x")) for n in range(2)]
        await asyncio.sleep(0.05)
        work.hold.set()
        assert await statuses_of([*held, *waiting]) == [DONE] * 4


async def test_batch_calls_for_two_locked_orders_do_not_delay_others(client: Client) -> None:
    locker = await connect(client.database_url)
    async with locker.transaction():
        await locker.execute("select from order_requests where id in (1007, 1008) for update")
        held = []
        for order in (7, 8):
            held.append(asyncio.create_task(client.create_stage(order_id=order)))
            await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            assert (await client.create_stage(order_id=1)).status_code == 200
        assert not any(task.done() for task in held)
    assert [(await task).status_code for task in held] == [200, 200]
    await locker.close()


async def test_batch_without_a_connection_times_out(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    await applied(database, desired(tmp_path, {"kept.create": {**ROUTE, "timeout": "2s"}}))
    work = CompanyBatches()
    async with calling(database, tokens, work, database_connections="1") as caller:
        async with connection_of(caller.client.worker.pool):
            assert await caller.statuses("a", "b") == ["service-timeout"] * 2
        assert await caller.statuses("c") == [DONE]
        assert await caller.companies() == Counter(["c"])


async def test_batch_timeout_of_one_call_does_not_end_the_others(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    """Two routes share an action, so their calls run in one batch."""
    short = {**ROUTE, "handler": "kept.create", "timeout": "1s"}
    routes = {"kept.create": ROUTE, "kept.short": short}
    await applied(database, desired(tmp_path, routes))
    work = CompanyBatches()
    async with calling(database, tokens, work, database_connections="1") as caller:
        assert await caller.statuses("first") == [DONE]
        async with connection_of(caller.client.worker.pool):
            patient = asyncio.create_task(caller.call("patient"))
            impatient = asyncio.create_task(caller.call("impatient", path="kept/short"))
            assert (await impatient).json()["status"] == "service-timeout"
            assert not patient.done()
        assert (await patient).json()["status"] == DONE
        assert await caller.companies() == Counter(["first", "patient"])
    assert work.batches[1:] == [["patient", "impatient"], ["patient"]]


async def test_batch_queue_that_is_full_refuses_new_calls_and_loses_none(
    kept: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_WAITING", 2)
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", "b")
        refused = await caller.call("c")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        work.hold.set()
        assert await statuses_of(calls) == [DONE] * 4
        assert await caller.companies() == Counter(["first", "second", "a", "b"])


async def test_batch_call_that_times_out_leaves_the_queue(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    await applied(database, desired(tmp_path, {"kept.create": {**ROUTE, "timeout": "2s"}}))
    work = CompanyBatches()
    async with calling(database, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a")
        assert (await calls[2]).json()["status"] == "service-timeout"
        work.hold.set()
        await asyncio.gather(*calls)
        assert not await caller.companies()


async def test_batch_is_unavailable_when_the_database_is_lost(
    kept: str, tokens: dict[str, str]
) -> None:
    work = CompanyBatches()
    async with calling(kept, tokens, work) as caller:
        calls = await calls_behind_two_batches(caller, work, "a", "b")
        for connection in [*caller.client.worker.pool._idle]:
            connection.terminate()
        caller.client.worker.pool.mark_down("gone")
        work.hold.set()
        assert await statuses_of(calls) == ["service-unavailable"] * 4
        assert not await caller.companies()


async def test_batch_calls_for_a_locked_order_do_not_delay_other_orders(client: Client) -> None:
    locker = await connect(client.database_url)
    async with locker.transaction():
        await locker.execute("select from order_requests where id = 1007 for update")
        held = [asyncio.create_task(client.create_stage(order_id=7)) for _ in range(3)]
        answers = await asyncio.gather(
            *(client.create_stage(order_id=n % 6 + 1) for n in range(60))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 60}
        assert not any(task.done() for task in held)
    ids = [(await task).json()["data"]["order_stage"]["id"] for task in held]
    assert ids == sorted(ids)
    await locker.close()


async def test_batch_never_contains_one_order_by_two_ids(client: Client) -> None:
    by_order = [client.create_stage(order_id=7) for _ in range(20)]
    by_request = [client.create_stage(order_request_id=1007) for _ in range(20)]
    mixed = [call for pair in zip(by_order, by_request, strict=True) for call in pair]
    answers = await asyncio.gather(*mixed)
    assert Counter(answer.status_code for answer in answers) == {200: 40}
    for answer in answers:
        data = answer.json()["data"]
        assert data["order_status"]["order_stage_id"] == data["order_stage"]["id"]
    [status] = await execute(client.database_url, "select * from order_statuses")
    [newest] = await execute(client.database_url, "select max(id) as id from order_stages")
    assert status["order_stage_id"] == newest["id"]


async def test_batches_of_two_workers_never_deadlock(database: str, tokens: dict[str, str]) -> None:
    async with serving(database, tokens) as one, serving(database, tokens) as other:
        calls = [
            client.create_stage(order_id=number)
            for n in range(2)
            for client, orders in ((one, range(1, 41)), (other, range(40, 0, -1)))
            for number in orders
        ]
        answers = await asyncio.gather(*calls)
    assert Counter(answer.status_code for answer in answers) == {200: 160}
    [deadlocks] = await execute(
        database, "select deadlocks from pg_stat_database where datname = current_database()"
    )
    assert deadlocks["deadlocks"] == 0


async def test_batch_is_retried_after_a_deadlock(kept: str, tokens: dict[str, str]) -> None:
    class Deadlocked(CompanyBatches):
        async def _write(
            self, calls: Sequence[Call], db: Database, *, singly: bool
        ) -> list[Outcome]:
            if len(self.batches) == 1:
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            return await super()._write(calls, db, singly=singly)

    work = Deadlocked()
    async with calling(kept, tokens, work) as caller:
        assert (await caller.call("a", "k")).json()["status"] == DONE
        assert await caller.companies() == Counter(["a"])
