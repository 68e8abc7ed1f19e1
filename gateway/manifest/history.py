"""The revisions of the registry: who applied what, when and why."""

from typing import Any

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.manifest import stored
from gateway.manifest.apply import UnknownRevisionError
from gateway.manifest.change import Change
from gateway.manifest.plan import Plan


async def revisions(connection: Connection, limit: int) -> list[Record]:
    """The newest revisions, newest first, with how many records each added, changed, deleted."""
    rows: list[Record] = await connection.fetch(stored.SQL["revisions"], limit)
    return rows


async def changes_of(connection: Connection, revision: int) -> Plan:
    """What one revision changed, as the plan that it was. Raises UnknownRevisionError."""
    rows = await connection.fetch(stored.SQL["changes_of"], revision)
    if not rows:
        raise UnknownRevisionError(f"there is no revision {revision}: see `gateway history`")
    texts = await stored.schemas(connection)
    return Plan(rows[0]["namespace"], revision, [_change(row, texts) for row in rows])


def _change(row: Any, texts: dict[bytes, str]) -> Change:  # noqa: ANN401 - an asyncpg record
    before, after = (stored.with_text(row[state], texts) for state in ("before", "after"))
    return Change(row["kind"], row["name"], before, after)
