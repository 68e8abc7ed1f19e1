"""The revisions of the registry: who applied what, when and why."""

from typing import Any

from asyncpg import Record

from gateway.database.connect import Connection
from gateway.manifest import stored
from gateway.manifest.change import Change
from gateway.manifest.plan import Plan
from gateway.manifest.rollback import UnknownRevisionError
from gateway.registry.revision import Revision


async def revisions(connection: Connection, limit: int) -> list[Record]:
    """The revisions, newest first, with the number of records added, changed and deleted."""
    rows: list[Record] = await connection.fetch(stored.SQL["revisions"], limit)
    return rows


async def changes_of(connection: Connection, revision: int) -> Plan:
    """The changes of one revision, as the plan it applied. Raises UnknownRevisionError."""
    rows = await connection.fetch(stored.SQL["changes_of"], revision)
    if not rows:
        raise UnknownRevisionError(revision)
    texts = await stored.schemas(connection)
    return Plan(
        namespace=rows[0]["namespace"],
        base=Revision(number=revision, uid=rows[0]["uid"]),
        changes=[_change(row, texts) for row in rows],
    )


def _change(row: Any, texts: dict[bytes, str]) -> Change:  # noqa: ANN401 - an asyncpg record
    return Change(
        kind=row["kind"],
        name=row["name"],
        before=stored.with_text(row["before"], texts),
        after=stored.with_text(row["after"], texts),
    )
