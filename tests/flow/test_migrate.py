"""Migrations: each file once, in order, in its own transaction, one process at a time."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from support.harness import execute, on

from gateway.database.connect import Connection
from gateway.database.migrate import (
    BrokenMigrationError,
    Migration,
    MigrationError,
    find,
    find_all,
    migrate,
)


async def run(url: str, migrations: list[Migration]) -> list[str]:
    names: list[str] = await on(url, lambda db: migrate(db, migrations))
    return names


async def log(url: str) -> list[str]:
    """The entries that the migrations of these tests have written, in order."""
    return [row["entry"] for row in await execute(url, "select entry from log order by id")]


async def recorded(url: str) -> list[str]:
    rows = await execute(url, "select name from gateway.migrations order by applied_at, name")
    return [row["name"] for row in rows]


CREATE = "create table log (id serial primary key, entry text not null);"


def entry(number: int, sql: str = "") -> Migration:
    """A migration that writes to the log and runs `sql`; the first one creates the log."""
    text = f"{CREATE if number == 1 else ''} insert into log (entry) values ('{number}'); {sql}"
    return Migration(f"test/{number:04}_entry.sql", text)


THREE = [entry(1), entry(2), entry(3)]
NAMES = [migration.name for migration in THREE]


async def test_migrate_applies_files_in_order(empty_database: str) -> None:
    assert await run(empty_database, THREE) == NAMES
    assert await log(empty_database) == ["1", "2", "3"]
    assert await recorded(empty_database) == NAMES


async def test_migrate_run_again_applies_nothing(empty_database: str) -> None:
    await run(empty_database, THREE)
    assert await run(empty_database, THREE) == []
    assert await log(empty_database) == ["1", "2", "3"]


async def test_migrate_applies_only_new_files(empty_database: str) -> None:
    await run(empty_database, THREE[:2])
    assert await run(empty_database, THREE) == NAMES[2:]
    assert await log(empty_database) == ["1", "2", "3"]


EDITED = Migration(NAMES[1], THREE[1].text + " -- better")
REFUSED = [
    ([THREE[0], EDITED, THREE[2], entry(4)], [f"{NAMES[1]} was edited"]),
    ([THREE[0], THREE[2], entry(4)], [f"{NAMES[1]} was applied to this database, but its file is"]),
    ([EDITED, entry(4)], [f"{NAMES[0]} was applied", f"{NAMES[1]} was edited", f"{NAMES[2]} was"]),
]


@pytest.mark.parametrize(("files", "words"), REFUSED, ids=["edited", "gone", "both"])
async def test_migrate_refuses_rewritten_history_and_applies_nothing(
    empty_database: str, files: list[Migration], words: list[str]
) -> None:
    await run(empty_database, THREE)
    with pytest.raises(MigrationError) as refused:
        await run(empty_database, files)
    lines = str(refused.value).splitlines()
    assert len(lines) == len(words)
    assert all(line.startswith(word) for line, word in zip(lines, words, strict=True))
    assert await log(empty_database) == ["1", "2", "3"]
    assert await recorded(empty_database) == NAMES
    assert await run(empty_database, [*THREE, entry(4)]) == ["test/0004_entry.sql"]


async def test_migrate_rolls_back_only_the_failed_file(empty_database: str) -> None:
    broken = entry(2, "insert into log (entry) values (null);")
    with pytest.raises(BrokenMigrationError, match=r"^test/0002_entry\.sql: null value"):
        await run(empty_database, [THREE[0], broken, THREE[2]])
    assert await log(empty_database) == ["1"]
    assert await recorded(empty_database) == NAMES[:1]
    assert await run(empty_database, THREE) == NAMES[1:]
    assert await log(empty_database) == ["1", "2", "3"]


async def test_migrate_names_the_line_of_a_syntax_error(empty_database: str) -> None:
    broken = entry(2, "select 'ä';\n\n  creat table x ();\nselect 1;")
    with pytest.raises(BrokenMigrationError) as refused:
        await run(empty_database, [THREE[0], broken])
    assert str(refused.value) == (
        'test/0002_entry.sql:3: syntax error at or near "creat"; '
        "this migration is not applied, and those before it stay applied"
    )


async def test_migrate_releases_its_lock_after_a_failure(empty_database: str) -> None:
    async def fail_and_stay(db: Connection) -> None:
        with pytest.raises(BrokenMigrationError):
            await migrate(db, [Migration("test/0001_entry.sql", "nonsense")])
        async with asyncio.timeout(10):
            assert await run(empty_database, THREE) == NAMES

    await on(empty_database, fail_and_stay)


async def test_migrate_run_concurrently_applies_each_file_once(empty_database: str) -> None:
    slow = [Migration(file.name, f"select pg_sleep(0.02); {file.text}") for file in THREE]
    applied = await asyncio.gather(*(run(empty_database, slow) for _ in range(6)))
    assert sorted(name for names in applied for name in names) == NAMES
    assert await recorded(empty_database) == NAMES
    assert await log(empty_database) == ["1", "2", "3"]


LOCK = "select pg_advisory_lock(hashtext('gateway.migrations'))"
UNLOCK = "pg_advisory_unlock(hashtext('gateway.migrations'))"


async def test_migrate_holds_no_lock_of_its_session(empty_database: str) -> None:
    # A transaction pooler would give the session, and the lock, to other clients.
    probe = f"set local client_min_messages to error; insert into log (entry) select {UNLOCK}::text"
    await run(empty_database, [entry(1, probe)])
    assert await log(empty_database) == ["1", "false"]


async def test_migrate_names_the_process_that_holds_its_lock(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.database.migrate.LOCK_TIMEOUT", 0.05)

    async def hold(db: Connection) -> None:
        await db.execute(LOCK)
        with pytest.raises(MigrationError, match="another process migrates") as refused:
            await run(empty_database, THREE)
        pid = db.get_server_pid()
        assert f"server process {pid}, gateway command " in str(refused.value)
        assert f"pg_terminate_backend({pid})" in str(refused.value)

    await on(empty_database, hold)
    assert await run(empty_database, THREE) == NAMES


async def test_migrate_gives_up_on_a_locked_table_and_says_so(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(empty_database, THREE[:1])
    monkeypatch.setattr("gateway.database.migrate.LOCK_TIMEOUT", 0.05)

    async def hold(db: Connection) -> None:
        async with db.transaction():
            await db.execute("lock table log")
            with pytest.raises(MigrationError, match=f"^{NAMES[1]}: another transaction held"):
                await run(empty_database, THREE)

    await on(empty_database, hold)
    assert await run(empty_database, THREE) == NAMES[1:]


async def test_migrate_interrupted_within_a_file_leaves_only_complete_files(
    empty_database: str,
) -> None:
    dies = Migration(NAMES[1], f"{THREE[1].text} select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await run(empty_database, [THREE[0], dies])
    assert await log(empty_database) == ["1"]
    assert await run(empty_database, THREE) == NAMES[1:]


def test_migrate_finds_files_by_folder_and_then_by_name(tmp_path: Path) -> None:
    for name in ("b/0001_x.sql", "a/0002_y.sql", "a/0001_z.sql", "a/notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"-- {name}")
    migrations = find([("one", tmp_path / "b"), ("two", tmp_path / "a")])
    assert [(migration.name, migration.text) for migration in migrations] == [
        ("one/0001_x.sql", "-- b/0001_x.sql"),
        ("two/0001_z.sql", "-- a/0001_z.sql"),
        ("two/0002_y.sql", "-- a/0002_y.sql"),
    ]


async def test_migrate_builds_the_whole_database_from_an_empty_one(empty_database: str) -> None:
    names = [migration.name for migration in find_all()]
    assert names[0] == "gateway/0001_registry.sql"
    assert [name.partition("/")[0] for name in names] == sorted(
        name.partition("/")[0] for name in names
    )
    assert await run(empty_database, find_all()) == names
    assert await run(empty_database, find_all()) == []
    assert await execute(empty_database, "select from gateway.revisions") == []
