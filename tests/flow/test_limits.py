"""Limits: a sliding window that workers share; without the database each counts for itself."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.harness import execute, serving
from support.manifests import applied, desired

from gateway import Call, Reply
from gateway.database import handle
from gateway.database.pool import Pool
from gateway.identity.counts import Counts, sweep
from gateway.upstreams.python import Actions
from gateway.values import Rate

RATE = Rate(5, 60)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0 * 60

    def __call__(self) -> float:
        return self.seconds


def admitted(counts: Counts, times: int, key: str = "k", rate: Rate = RATE) -> int:
    """Try a number of calls; return how many are admitted."""
    return sum(counts.take(key, rate) == 0 for _ in range(times))


def test_rate_limit_refuses_calls_beyond_the_limit_until_retry_after() -> None:
    clock = Clock()
    counts = Counts(Pool("", 1), clock)
    assert admitted(counts, 20) == 5
    wait = counts.take("k", RATE)
    clock.seconds += wait - 1
    assert counts.take("k", RATE) > 0
    clock.seconds += 1
    assert counts.take("k", RATE) == 0


def test_rate_limit_counts_keys_and_rates_separately() -> None:
    counts = Counts(Pool("", 1), Clock())
    assert admitted(counts, 9) == admitted(counts, 9, "other") == 5
    assert admitted(counts, 9, rate=Rate(7, 3600)) == 7


def test_rate_limit_does_not_count_a_call_that_is_given_back() -> None:
    counts = Counts(Pool("", 1), Clock())
    for _ in range(20):
        assert counts.take("k", RATE) == 0
        counts.give_back("k", RATE)
    assert admitted(counts, 9) == 5


@given(
    st.lists(st.floats(0, 90), max_size=60),
    st.integers(1, 8),
)
def test_rate_limit_window_never_exceeds_twice_the_limit(pauses: list[float], calls: int) -> None:
    clock = Clock()
    counts = Counts(Pool("", 1), clock)
    rate = Rate(calls, 60)
    admissions: list[float] = []
    for pause in pauses:
        clock.seconds += pause
        wait = counts.take("k", rate)
        if not wait:
            admissions.append(clock.seconds)
        else:
            assert 1 <= wait <= 120
    for start in admissions:
        assert sum(start <= time < start + 60 for time in admissions) < 2 * calls + 1


def test_rate_limit_is_reset_after_two_windows() -> None:
    clock = Clock()
    counts = Counts(Pool("", 1), clock)
    assert admitted(counts, 9) == 5
    clock.seconds += 120
    assert admitted(counts, 9) == 5


async def test_rate_limit_is_shared_by_workers(database: str) -> None:
    pools, clock = [Pool(database, 1), Pool(database, 1)], Clock()
    clock.seconds = 60 * 28_000_000.0
    one, other = (Counts(pool, clock) for pool in pools)
    assert admitted(one, 3) == 3
    assert admitted(other, 1) == 1
    await one.flush()
    await other.flush()
    assert admitted(other, 9) == 1
    for pool in pools:
        await pool.close()


async def test_rate_limit_counts_what_a_worker_had_not_written_when_its_window_ended(
    database: str,
) -> None:
    pool, clock = Pool(database, 1), Clock()
    clock.seconds = 60 * 28_000_000.0
    counts = Counts(pool, clock)
    assert admitted(counts, 2) == 2
    await counts.flush()
    assert admitted(counts, 9) == 3
    clock.seconds += 60
    assert admitted(counts, 1) == 0
    clock.seconds += 12
    assert admitted(counts, 1) == 1
    await counts.flush()
    assert admitted(counts, 9) == 0
    await pool.close()


async def test_rate_limit_previous_window_is_known_to_other_workers(
    database: str,
) -> None:
    pools, clock = [Pool(database, 1), Pool(database, 1)], Clock()
    one, other = (Counts(pool, clock) for pool in pools)
    assert admitted(one, 5) == 5
    await one.flush()
    clock.seconds += 60
    assert admitted(other, 1) == 1
    await other.flush()
    assert admitted(other, 9) == 0
    for pool in pools:
        await pool.close()


async def test_rate_limit_stores_only_hashes_and_deletes_old_windows(database: str) -> None:
    pool, clock = Pool(database, 1), Clock()
    counts = Counts(pool, clock)
    counts.take("account:ada@example.com", RATE)
    await counts.flush()
    [row] = await execute(database, "select * from gateway.counts")
    assert len(row["key"]) == 32
    clock.seconds += 600
    await sweep(handle.Database(pool, asyncio.get_running_loop().time() + 10))
    assert await execute(database, "select * from gateway.counts") == []
    await pool.close()


async def test_rate_limit_is_counted_by_each_worker_during_a_database_outage(database: str) -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nothing", 1)
    counts = Counts(pool, Clock())
    assert admitted(counts, 3) == 3
    await counts.flush()
    assert admitted(counts, 9) == 2
    pool._dsn = database
    await counts.flush()
    assert [row["count"] for row in await execute(database, "select * from gateway.counts")] == [5]
    await pool.close()


async def do_nothing(_: Call) -> Reply:
    return Reply({})


@pytest.mark.parametrize("auth", ["public", ["application", "session"]])
async def test_route_rate_limit_counts_each_token_or_address(
    database: str, tokens: dict[str, str], tmp_path: Path, auth: str | list[str]
) -> None:
    route = {"method": "GET", "path": "/limited", "auth": auth, "rate_limit": "50/hour"}
    await applied(database, desired(tmp_path, {"limited.read": route}))
    actions = Actions({"limited.read": do_nothing})
    async with serving(database, tokens, actions=actions) as client:

        async def codes(times: int, caller: str) -> Counter[int]:
            bearer = {"authorization": f"Bearer {tokens[caller]}"}
            return Counter(
                [
                    (await client.request("GET", "/limited", headers=bearer)).status_code
                    for _ in range(times)
                ]
            )

        assert await codes(55, "employee") == {200: 50, 429: 5}
        expected = {429: 3} if auth == "public" else {200: 3}
        assert await codes(3, "liaison") == await codes(3, "application") == expected
