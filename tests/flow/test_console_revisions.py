"""The console's revisions: pages of a long history, and what one revision changed."""

import re
from typing import Any

import orjson
import pytest
from support.console import Console, signed_in
from support.harness import Client, execute, on

from gateway.database.connect import Connection
from gateway.manifest import history
from gateway.manifest.records import stored
from gateway.pages.console import revisions

MANY = 1234
HISTORY = """
with more as (
    insert into gateway.revisions (id, namespace, applied_by, message)
    select n, 'test', 'ada', 'why ' || n from generate_series(2, $1::int) n
    returning id
)
insert into gateway.changes (revision, kind, name, namespace, before, after)
select id, 'service', 'service_' || part, 'test',
       '{"title": "A", "deployed": true}', '{"title": "B", "deployed": true}'
from more cross join generate_series(1, 3) part
"""


async def listed(console: Console, query: str = "") -> tuple[list[int], dict[str, str]]:
    """The revisions of one page of the list, and its links to other pages, by their text."""
    page = await console.page(f"/revisions{query}")
    numbers = [int(row.all("th")[0].text) for row in page.root.all("tr")[1:]]
    links = {
        link.text: link.attributes["href"].rpartition("/revisions")[2]
        for link in page.root.all("a")
        if link.text in {"Newer", "Older"} and link.attributes["href"]
    }
    return numbers, links


async def test_revisions_are_listed_in_pages_to_the_first_and_back(client: Client) -> None:
    await execute(client.database_url, HISTORY, MANY)
    async with signed_in(client.worker) as console:
        numbers, links = await listed(console)
        pages = [numbers]
        assert "Newer" not in links
        while "Older" in links:
            numbers, links = await listed(console, links["Older"])
            pages.append(numbers)
        assert [number for page in pages for number in page] == [*range(MANY, 0, -1)]
        back = [numbers]
        while "Newer" in links:
            numbers, links = await listed(console, links["Newer"])
            back.append(numbers)
        assert back[1:-1] == pages[-2:0:-1]
        assert back[-1] == pages[0]


@pytest.mark.parametrize("before", ["0", "1", "-3", "x", "9" * 5000])
async def test_revisions_before_any_text_are_a_page(client: Client, before: str) -> None:
    async with signed_in(client.worker) as console:
        page = await console.page(f"/revisions?before={before}")
        assert ("There is no older revision." in page.root.text) == (before in {"0", "1"})


def rows_read(plan: dict[str, Any], table: str) -> int:
    """How many rows of a table a plan has read, as PostgreSQL counted them."""
    own = 0
    if plan.get("Relation Name") == table:
        removed = plan.get("Rows Removed by Filter", 0)
        own = int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return own + sum(rows_read(part, table) for part in plan.get("Plans", ()))


async def test_revisions_of_a_page_are_counted_without_those_before_it(client: Client) -> None:
    await execute(client.database_url, HISTORY, MANY)
    await execute(client.database_url, "analyze gateway.revisions, gateway.changes")
    query = f"explain (analyze, format json) {stored.SQL['revisions']}"
    [row] = await execute(client.database_url, query, 51, 100)
    [explained] = orjson.loads(row[0])
    assert rows_read(explained["Plan"], "revisions") <= 51
    # Each revision has three changes; one of them shows that there are any.
    assert rows_read(explained["Plan"], "changes") <= 51 * 4


async def test_revision_reads_only_the_schemas_that_its_changes_name(client: Client) -> None:
    await execute(
        client.database_url, "insert into gateway.schemas values (sha256('other'), 'not read')"
    )
    await execute(client.database_url, HISTORY, 2)
    asked: list[str] = []

    async def read(db: Connection) -> None:
        with db.query_logger(lambda record: asked.append(record.query)):
            await history.first_changes_of(db, 1, 1000)
            await history.changes_of(db, 1)

    await on(client.database_url, read)
    assert stored.SQL["schemas_by_hash"] in asked
    assert stored.SQL["schemas"] not in asked


async def test_revision_says_on_how_many_workers_it_is_and_since_when(client: Client) -> None:
    await client.worker.reporter._report()
    since = client.worker.registry.served_since
    assert since
    async with signed_in(client.worker) as console:
        text = f"on 1 of 1 since {since:%Y-%m-%d %H:%M}"
        assert text in re.sub(r"\s+", " ", (await console.page("/revisions")).root.text)
        page = await console.page("/revisions/1")
        text = f"Served by 1 of 1 worker since {since:%Y-%m-%d %H:%M}."
        assert text in re.sub(r"\s+", " ", page.root.text)


async def test_revision_of_many_changes_shows_those_that_may_break_callers_first(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "MAX_READ", 2)
    await execute(client.database_url, HISTORY, 2)
    await execute(
        client.database_url,
        "update gateway.changes set before = null where revision = 2 and name = 'service_1'",
    )
    async with signed_in(client.worker) as console:
        page = await console.page("/revisions/2")
    headings = [heading.text for heading in page.root.all("h2")]
    assert headings == ["~ service service_2", "~ service service_3", "Keys"]
    assert "1 more change" in page.root.text
