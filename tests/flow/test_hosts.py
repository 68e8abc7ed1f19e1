"""Several hosts in the address: the right server is found, whatever the others do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harness import connection_of, execute
from support.standbys import Pair, address, host_of, set_on_server, swallower

from gateway.database import hosts
from gateway.database.connect import Connection, connect
from gateway.database.errors import DatabaseReadOnly, DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool

TABLE = "create table if not exists notes (note text)"
WRITE = "insert into notes values ('kept')"
READ_ONLY = "default_transaction_read_only"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp("pair"), {}) as pair:
        yield pair


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Pair]:
    """Two servers that a test may change."""
    with Pair(tmp_path, {}) as pair:
        yield pair


@pytest.fixture(autouse=True)
def unknown_hosts() -> None:
    hosts._last_good.clear()


async def is_standby(connection: Connection) -> bool:
    found: bool = await connection.fetchval("select pg_is_in_recovery()")
    await connection.close()
    return found


async def is_standby_at(url: str) -> bool:
    return await is_standby(await connect(url, 2))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("read-write", False),
        ("primary", False),
        ("standby", True),
        ("read-only", True),
        ("prefer-standby", True),
    ],
)
@pytest.mark.parametrize("first", ["primary", "standby"])
async def test_hosts_target_is_found_behind_a_host_that_is_silent(
    running: Pair, target: str, first: str, *, expected: bool
) -> None:
    servers = [host_of(running.primary), host_of(running.standby)]
    if first == "standby":
        servers.reverse()
    with swallower() as silent:
        url = address(silent, *servers, target_session_attrs=target)
        assert await is_standby_at(url) is expected


async def test_hosts_without_a_target_mean_the_one_that_accepts_writes(running: Pair) -> None:
    url = address(host_of(running.standby), host_of(running.primary))
    assert not await is_standby_at(url)


async def test_hosts_that_prefer_a_standby_take_the_primary_if_there_is_none(
    running: Pair,
) -> None:
    with swallower() as silent:
        url = address(silent, host_of(running.primary), target_session_attrs="prefer-standby")
        assert not await is_standby_at(url)


async def test_host_that_was_good_last_is_the_first_to_be_tried(running: Pair) -> None:
    url = address(host_of(running.standby), host_of(running.primary))
    await is_standby_at(url)
    [(_, last)] = hosts._last_good.items()
    assert host_of(running.primary)[0] in last.replace("%2F", "/")


async def test_hosts_that_all_fail_are_named_with_their_reasons(running: Pair) -> None:
    nothing, standby = ("127.0.0.1", "1"), host_of(running.standby)
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(address(nothing, standby), 2)
    closed, refused = str(caught.value).split("; ")
    assert closed.startswith("127.0.0.1:1: ")
    assert refused == f"{standby[0]}:5432: it does not accept writes".lower()


async def test_hosts_of_an_authority_are_found_too(running: Pair) -> None:
    folder = host_of(running.primary)[0].replace("/", "%2F")
    with swallower() as (host, port):
        url = f"postgresql://gateway@{host}:{port},{folder}/gateway"
        assert not await is_standby_at(url)


async def test_pool_finds_the_new_primary_after_a_fail_over(own: Pair) -> None:
    await execute(own.primary.url(), TABLE)
    pool = Pool(address(host_of(own.primary), host_of(own.standby)), 2)
    async with connection_of(pool) as connection, connection_of(pool):
        assert connection.get_settings().in_hot_standby == "off"
    await own.caught_up()
    await set_on_server(own.primary.url(), READ_ONLY, "on")
    await own.promote()
    # Both connections are those of the demoted primary, which refuses the first attempt.
    await Database.within(pool, 5).fetch(WRITE)
    assert len(await execute(own.standby.url(), "select * from notes")) == 1
    await pool.close()


async def test_write_without_a_primary_is_an_unavailable_database(own: Pair) -> None:
    await execute(own.primary.url(), TABLE)
    pool = Pool(own.primary.url(), 2)
    async with connection_of(pool):
        pass
    await set_on_server(own.primary.url(), READ_ONLY, "on")
    with pytest.raises(DatabaseReadOnly):
        await Database.within(pool, 5).fetch(WRITE)
    assert pool.usage().in_use == 0
    await set_on_server(own.primary.url(), READ_ONLY, "off")
    await Database.within(pool, 5).fetch(WRITE)
    await pool.close()
