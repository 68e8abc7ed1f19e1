"""A user with 110,000 live sessions: listing them reads and answers a bounded number of rows."""

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.harness import Client, execute, on

from gateway import lifetime, load_queries
from gateway.database.connect import Connection
from gateway.dev.demo import PASSWORD
from services import sessions

MANY = 110_000
FILL = """
insert into gateway.sessions (user_id, application_id, token_hash, address)
select 1, 2, decode(md5(n::text), 'hex'), '203.0.113.9' from generate_series(1, $1) as n
"""
LIST = "/api/v1/sessions/index"


@pytest.fixture
async def crowded(client: Client) -> Client:
    """A client of a worker whose employee has many sessions."""
    await execute(client.database_url, FILL, MANY)
    await execute(client.database_url, "analyze gateway.sessions")
    return client


def scanned(plan: dict[str, Any]) -> Iterator[int]:
    """The rows that each node reads from a table or an index, kept or not."""
    if "Scan" in plan["Node Type"]:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield round(rows * plan["Actual Loops"])
    for child in plan.get("Plans", ()):
        yield from scanned(child)


async def rows_read(url: str, name: str, *args: Any) -> int:
    """How many rows a query of the service reads."""
    query = load_queries(sessions.__file__)[name]

    async def explain(db: Connection) -> Any:
        return await db.fetchval(f"explain (analyze, format json) {query}", *args)

    plan = await on(url, explain)
    [explained] = plan if isinstance(plan, list) else orjson.loads(plan)
    return max(scanned(explained["Plan"]))


async def test_session_list_of_a_user_with_many_sessions_is_bounded(crowded: Client) -> None:
    page = {"token": crowded.tokens["employee"], "count": True, "page": {"size": 250}}
    data = (await crowded.post(LIST, page)).json()["data"]
    assert len(data["sessions"]) == 250
    assert data["sessions"][0]["current"]
    assert data["count"] == sessions.MAX_LISTED + 1


async def test_session_list_of_a_user_with_many_sessions_reads_a_bounded_number_of_rows(
    crowded: Client,
) -> None:
    live = 1, 1, lifetime.MAX_AGE, lifetime.MAX_IDLE
    url = crowded.database_url
    assert await rows_read(url, "index", *live, 50, 0, sessions.MAX_LISTED) <= 2 * 2001
    assert await rows_read(url, "count", *live, sessions.MAX_LISTED) <= 2 * 2001
    # Those that ended are not read either.
    await execute(url, "alter table gateway.sessions disable trigger tell_identity")
    await execute(url, "update gateway.sessions set revoked_at = now() where id > 100")
    await execute(url, "analyze gateway.sessions")
    assert await rows_read(url, "index", *live, 50, 0, sessions.MAX_LISTED) <= 300


async def test_log_in_of_a_user_with_many_sessions_ends_a_bounded_number(crowded: Client) -> None:
    before = await live_sessions(crowded)
    await execute(crowded.database_url, "update gateway.users set remember_me = true where id = 1")
    session = {"email": "employee@example.com", "password": PASSWORD, "application": "planoorder"}
    content = base64.b64encode(orjson.dumps(session))
    answer = await crowded.request("POST", "/api/v1/sessions/create", content=content)
    assert answer.status_code == 200
    assert await live_sessions(crowded) == before + 1 - 1000


async def live_sessions(client: Client) -> int:
    query = "select count(*) from gateway.sessions where user_id = 1 and revoked_at is null"
    [row] = await execute(client.database_url, query)
    count: int = row["count"]
    return count
