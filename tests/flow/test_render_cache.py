"""Rows are rendered once: a list shows the rows of the database, however they were changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from support.harness import Client, batched_action, execute, on, until

from gateway import Database, RenderCache
from gateway.database import render_cache
from gateway.database.connect import Connection
from gateway.database.pool import Pool
from services import statuses

PATH = "/services/statuses"


async def listed(client: Client, **params: Any) -> list[dict[str, str]]:
    headers = {"authorization": f"Bearer {client.tokens['application']}"}
    response = await client.request("GET", PATH, params=params, headers=headers)
    assert response.status_code == 200, response.text
    rows: list[dict[str, str]] = response.json()["statuses"]
    return rows


CHANGES = {
    "a name": "update statuses set name = 'Inne' where id = 2",
    "the same name": "update statuses set name = 'Nowe' where id = 1",
    "only a time": "update statuses set updated_at = updated_at + interval '1 s' where id = 3",
    "a row removed": "delete from statuses where id = 5",
    "a row added": "insert into statuses (id, name, url, color) values (90, 'A', 'a', 'EC451F')",
    "another row with the same id": """
        delete from statuses where id = 4;
        insert into statuses (id, name, url, color) values (4, 'B', 'b', 'EC451F')
    """,
}


async def test_render_cache_shows_every_change_in_the_next_list(client: Client) -> None:
    for change in ("select", *CHANGES.values()):
        await on(client.database_url, partial(Connection.execute, query=change))
        rows = await execute(
            client.database_url, "select id::text, name, url from statuses order by id"
        )
        shown = await listed(client, limit=250)
        assert [(row["id"], row["name"], row["url"]) for row in shown] == [*map(tuple, rows)]


class Reads:
    """Records the statements of lists: how many pages each reads, and whether with their rows."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, bool]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.change: str | None = None
        self._read = statuses._query

    async def read(self, db: Database, pages: Collection[statuses._Page], *, whole: bool) -> Any:
        if pages:
            self.recorded.append((len(pages), whole))
        await self.go.wait()
        if whole and self.change:
            await db.fetch(self.change)
            self.change = None
        return await self._read(db, pages, whole=whole)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(statuses, "_CACHE", RenderCache())
    monkeypatch.setattr(statuses, "_query", reads.read)
    return reads


ASK, FETCH = (1, False), (1, True)


async def test_render_cache_does_not_fetch_known_rows_again(client: Client, reads: Reads) -> None:
    whole = await listed(client)
    assert reads.recorded == [ASK, FETCH]
    assert await listed(client) == whole
    # The cache knows the page by its rows, not by the filter.
    assert await listed(client, created_at_min="2001-01-01 00:00:00") == whole
    assert reads.recorded == [ASK, FETCH, ASK, ASK]


async def test_render_cache_fetches_changed_rows_once(client: Client, reads: Reads) -> None:
    await listed(client)
    await execute(client.database_url, "update statuses set name = 'new' where id = 1")
    assert [(await listed(client))[0]["name"] for _ in range(2)] == ["new"] * 2
    assert reads.recorded == [ASK, FETCH, ASK, FETCH, ASK]


async def test_render_cache_keeps_an_empty_page(client: Client, reads: Reads) -> None:
    assert [await listed(client, page=99) for _ in range(2)] == [[], []]
    assert reads.recorded == [ASK, FETCH, ASK]


async def test_render_cache_serves_fields_from_known_rows(client: Client, reads: Reads) -> None:
    whole = await listed(client)
    shown = await listed(client, fields="url,id,nonsense")
    assert shown == [{"id": row["id"], "url": row["url"]} for row in whole]
    assert await listed(client, fields="nonsense") == whole
    assert reads.recorded == [ASK, FETCH, ASK, ASK]


@pytest.fixture
async def work(database: str) -> AsyncIterator[Database]:
    pool = Pool(database, 1)
    yield Database(pool, asyncio.get_running_loop().time() + 10)
    await pool.close()


ALL = statuses._Page(None, None, None, None, None, None, None, 50, 0)
ALIKE = [ALL._replace(created_at_min=datetime(2001, 1, day, tzinfo=UTC)) for day in range(1, 9)]


async def test_render_cache_fetches_pages_with_equal_rows_once(
    work: Database, reads: Reads
) -> None:
    shown = await statuses._pages(work, [*ALIKE, ALL._replace(limit=1)])
    assert reads.recorded == [(9, False), (2, True)]
    assert sorted(len(json.loads(page)) for page in shown.values()) == [1, *[5] * 8]


async def test_render_cache_shows_rows_that_change_during_the_fetch(
    work: Database, reads: Reads
) -> None:
    reads.change = "update statuses set name = 'new' where id = 1"
    shown = await statuses._pages(work, ALIKE)
    assert {json.loads(page)[0]["name"] for page in shown.values()} == {"new"}
    assert reads.recorded == [(8, False), (1, True), (7, True)]
    assert await statuses._pages(work, ALIKE) == shown
    assert reads.recorded[3:] == [(8, False)]


async def refused(client: Client) -> str:
    headers = {"authorization": f"Bearer {client.tokens['application']}"}
    params = {"created_at_min": "2026-02-30 00:00:00"}
    response = await client.request("GET", PATH, params=params, headers=headers)
    return str(response.json()["error"])


async def test_render_cache_reads_waiting_lists_in_one_statement(
    client: Client, reads: Reads
) -> None:
    """Equal lists are one page, an invalid list fails alone, and a slow list delays no other."""
    await listed(client)
    reads.recorded.clear()
    reads.go.clear()
    held = [asyncio.create_task(listed(client))]
    await until(lambda: len(reads.recorded) == 1)
    held.append(asyncio.create_task(listed(client)))
    await until(lambda: len(reads.recorded) == 2)
    alike = [asyncio.create_task(listed(client, limit=2)) for _ in range(10)]
    others = [asyncio.create_task(listed(client, limit=2, page=page)) for page in (2, 3)]
    bad = asyncio.create_task(refused(client))
    long = asyncio.create_task(listed(client, sku="no such"))
    line = batched_action(client, "statuses.index")
    await until(lambda: len(line._waiting) == 14)
    reads.go.set()
    ids = [[int(row["id"]) for row in await page] for page in (*alike, *others)]
    assert ids == [[1, 2]] * 10 + [[3, 4], [5]]
    assert await bad == "invalid-param"
    assert await long == []
    assert reads.recorded == [ASK, ASK, (3, False), (3, True), ASK, FETCH]
    await asyncio.gather(*held)


STRANGE = ['"quoted" \\ slashed/', "tab\tnew\nline\x01\x7f", "zażółć \u2028 😀", "<a href='&'>"]


@pytest.mark.parametrize("name", STRANGE)
async def test_render_cache_keeps_special_characters(client: Client, name: str) -> None:
    await execute(client.database_url, "update statuses set name = $1 where id = 1", name)
    assert (await listed(client, limit=1))[0]["name"] == name
    assert [row["name"] for row in await listed(client, name=name)] == [name]


def test_render_cache_never_exceeds_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_cache, "ENTRY_BYTES", 1)
    cache = RenderCache(max_bytes=13)
    for key, text in (("a", b"1234"), ("b", b"1234"), ("a", b"12"), ("c", b"1234")):
        cache.keep(key, text)
    assert [cache.find(key) for key in "abc"] == [b"12", b"1234", b"1234"]
    cache.keep("d", b"1")
    assert [cache.find(key) for key in "abcd"] == [b"12", None, b"1234", b"1"]
    cache.keep("e", b"longer than all of it")
    assert [cache.find(key) for key in "abcde"] == [None] * 5
    cache.keep("f", b"123456789012")
    assert cache.find("f")


def test_render_cache_has_its_own_hash_seed() -> None:
    assert RenderCache().seed != RenderCache().seed
