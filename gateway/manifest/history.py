"""The revisions of the registry: who applied what, when and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from gateway.database.connect import Connection
from gateway.database.handle import Database
from gateway.manifest.plan import Plan
from gateway.manifest.records import stored
from gateway.manifest.records.change import Change, Record
from gateway.manifest.rollback import UnknownRevisionError
from gateway.registry.revision import Revision


async def revisions(
    connection: Connection, limit: int, *, before: int | None = None
) -> list[asyncpg.Record]:
    """The revisions, newest first, with the number of records added, changed and deleted.

    With `before` only those that are older than this revision.
    """
    rows: list[asyncpg.Record] = await connection.fetch(stored.SQL["revisions"], limit, before)
    return rows


async def changes_of(connection: Connection, revision: int) -> Plan:
    """The changes of one revision, as the plan it applied. Raises UnknownRevisionError."""
    rows = await connection.fetch(stored.SQL["changes_of"], revision)
    return await _plan(connection, revision, rows)


async def first_changes_of(connection: Connection, revision: int, limit: int) -> tuple[Plan, int]:
    """At most `limit` changes of one revision, and how many it has; additions are left out first.

    Raises UnknownRevisionError.
    """
    rows = await connection.fetch(stored.SQL["first_changes_of"], revision, limit)
    return await _plan(connection, revision, rows), rows[0]["number"]


async def _plan(connection: Connection, revision: int, rows: list[asyncpg.Record]) -> Plan:
    if not rows:
        raise UnknownRevisionError(revision)
    records = [record for row in rows for record in (row["before"], row["after"])]
    texts = await stored.schemas_of(connection, records)
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


@dataclass(frozen=True, slots=True)
class RouteVersion:
    """A revision that changed a route, and how."""

    revision: int
    applied_at: datetime
    change: Change


async def versions_of_route(database: Database, name: str, limit: int) -> list[RouteVersion]:
    """The revisions that changed a route, newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(stored.SQL["versions_of_route"], name, limit)
    return [
        RouteVersion(
            revision=row["revision"],
            applied_at=row["applied_at"],
            change=Change(
                kind="route",
                name=name,
                before=_with_params(row["before"], row["old_params"]),
                after=_with_params(row["after"], row["new_params"]),
            ),
        )
        for row in rows
    ]


def _with_params(record: Record | None, params: str) -> Record | None:
    return None if record is None else {**record, "params": params}
