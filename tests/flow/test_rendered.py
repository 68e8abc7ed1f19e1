"""Rows that are rendered once: a list shows what the database holds, whoever changed it and how."""

from functools import partial
from typing import Any

import orjson
import pytest
from harness import Client, execute, on

from gateway import Rendered
from gateway.database.pool import Connection
from services import statuses

PATH = "/services/statuses"


async def listed(client: Client, **params: Any) -> list[dict[str, str]]:
    headers = {"authorization": f"Bearer {client.tokens['application']}"}
    response = await client.request("GET", PATH, params=params, headers=headers)
    assert response.status_code == 200, response.text
    found: list[dict[str, str]] = response.json()["statuses"]
    return found


CHANGES = {
    "a name": "update statuses set name = 'Inne' where id = 2",
    "back again": "update statuses set name = 'Nowe' where id = 1",
    "a time alone": "update statuses set updated_at = updated_at + interval '1 s' where id = 3",
    "a row less": "delete from statuses where id = 5",
    "a row more": "insert into statuses (id, name, url, color) values (90, 'A', 'a', 'EC451F')",
    "another row of the same id": """
        delete from statuses where id = 4;
        insert into statuses (id, name, url, color) values (4, 'B', 'b', 'EC451F')
    """,
}


async def test_a_change_by_anybody_is_in_the_next_list(client: Client) -> None:
    for change in ("select", *CHANGES.values()):
        await on(client.database_url, partial(Connection.execute, query=change))
        rows = await execute(
            client.database_url, "select id::text, name, url from statuses order by id"
        )
        shown = await listed(client, limit=250)
        assert [(row["id"], row["name"], row["url"]) for row in shown] == [*map(tuple, rows)]


async def test_what_is_known_is_not_fetched_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await listed(client)
    monkeypatch.setitem(statuses._SQL, "rows", "select 1 / 0")
    assert await listed(client) == whole
    assert await listed(client, limit=2, page=2) == whole[2:4]
    shown = await listed(client, fields="url,id")
    assert shown == [{"id": row["id"], "url": row["url"]} for row in whole]


def changing(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """From now on each fetch of rows changes one of them, of which it brings the state before."""
    fetch = statuses._SQL["rows"]
    monkeypatch.setitem(statuses._SQL, "rows", f"with changed as ({change}) {fetch}")
    monkeypatch.setattr(statuses, "_RENDERED", Rendered())


async def test_a_row_that_changes_while_it_is_fetched_is_fetched_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(monkeypatch, "update statuses set name = 'new' where id = 1 and name <> 'new'")
    assert [row["name"] for row in await listed(client)][:2] == ["new", "Spakowane"]


async def test_rows_that_never_hold_still_are_refused_in_the_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(monkeypatch, "update statuses set name = name || 'x' where id = 1")
    headers = {"authorization": f"Bearer {client.tokens['application']}"}
    response = await client.request("GET", PATH, headers=headers)
    assert (response.status_code, response.json()["error"]) == (503, "service-unavailable")


async def test_a_page_fits_however_often_a_row_of_it_changed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five rows and room for seven: what is forgotten is never a part of what is asked for."""
    monkeypatch.setattr(statuses, "_RENDERED", Rendered(most=7))
    for number in range(20):
        await execute(
            client.database_url, "update statuses set name = $1 where id = 3", str(number)
        )
        assert [row["name"] for row in await listed(client)][2] == str(number)


async def test_no_more_are_remembered_than_may_be(database: str) -> None:
    async def rows(db: Connection) -> Any:
        return await db.fetch(
            "select n as key, n * 10 as hash, n::text as name from generate_series(1, 4) n"
        )

    found = await on(database, rows)
    known = Rendered(most=3)
    known.learn(found[:3])
    assert [orjson.loads(row) for row in known.find([1, 3], [10, 30]) if row] == [
        {"name": "1"},
        {"name": "3"},
    ]
    assert known.find([3], [31]) == [None]
    known.learn(found[3:])
    assert [row and orjson.loads(row) for row in known.find([3, 4], [30, 40])] == [
        None,
        {"name": "4"},
    ]
