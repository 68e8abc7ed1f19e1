"""The registry as PostgreSQL stores it, record by record."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.manifest.records.change import Change, Key, Record, Records
from gateway.registry import paths
from gateway.registry.revision import EMPTY, Revision

SQL = load_queries(Path(__file__).parents[1] / "queries.sql")


class Stored:
    """The registry, or the part of it that was read.

    `owners` holds the namespace of each record, `revisions` the newest revision of each namespace,
    `slugs` every application's slug, also of those that no manifest has had.
    """

    def __init__(
        self,
        records: dict[Key, Record],
        owners: dict[Key, str],
        revisions: dict[str, Revision],
        slugs: frozenset[str],
    ) -> None:
        self.records = records
        self.slugs = slugs
        self.owners = owners
        self.revisions = revisions

    def records_of(self, namespace: str) -> Records:
        """The records of one namespace."""
        return {
            key: record for key, record in self.records.items() if self.owners[key] == namespace
        }

    def revision_of(self, namespace: str) -> Revision:
        """The newest revision of a namespace, `EMPTY` before its first."""
        return self.revisions.get(namespace, EMPTY)

    def records_after(self, changes: list[Change]) -> dict[Key, Record]:
        """All records as some changes would leave them."""
        records = dict(self.records)
        for change in changes:
            records.pop((change.kind, change.name), None)
            if change.after is not None:
                records[change.kind, change.name] = change.after
        return records

    def slugs_after(self, changes: list[Change]) -> frozenset[str]:
        """The slugs of all applications as some changes would leave them."""
        changed = [change for change in changes if change.kind == "application"]
        deleted = {change.name for change in changed if change.after is None}
        return self.slugs.union(change.name for change in changed).difference(deleted)


async def read(connection: Connection, namespaces: Sequence[str] | None = None) -> Stored:
    """The routes of some namespaces, by default of all, and every service.

    Call it inside a transaction, so that all queries see one state.
    """
    if namespaces is None:
        return await _stored(connection, await connection.fetch(SQL["routes"]))
    return await _stored(connection, await connection.fetch(SQL["routes_of"], namespaces))


async def possible_conflicts(connection: Connection, changes: Sequence[Change]) -> Stored:
    """The records of any namespace that some changes may conflict with."""
    names = [change.name for change in changes]
    records = [c.after for c in changes if c.kind == "route" and c.after is not None]
    shapes = list({paths.shape(record["path"]) for record in records})
    slugs = list({slug for record in records for slug in record["statuses"]})
    deleted = {
        kind: [c.name for c in changes if c.kind == kind and c.after is None]
        for kind in ("service", "application")
    }
    rows = await connection.fetch(
        SQL["possible_conflicts"], names, shapes, slugs, deleted["service"], deleted["application"]
    )
    return await _stored(connection, rows)


async def _stored(connection: Connection, routes: list[Any]) -> Stored:
    hashes = {row["params"] for row in routes}
    schema_rows = await connection.fetch(SQL["schemas_by_hash"], hashes)
    texts = {row["hash"]: row["text"] for row in schema_rows}
    records: dict[Key, Record] = {}
    owners: dict[Key, str] = {}
    slugs = set()
    for row in await connection.fetch(SQL["applications"]):
        slugs.add(row["name"])
        if row["namespace"] is not None:
            records["application", row["name"]] = row["record"]
            owners["application", row["name"]] = row["namespace"]
    for row in await connection.fetch(SQL["services"]):
        key: Key = ("service", row["name"])
        records[key], owners[key] = row["record"], row["namespace"]
    for row in routes:
        key = ("route", row["name"])
        records[key] = row["record"]
        records[key]["params"] = texts[row["params"]]
        owners[key] = row["namespace"]
    rows = await connection.fetch(SQL["namespace_revisions"])
    revisions = {row["namespace"]: Revision(row["number"], row["uid"]) for row in rows}
    return Stored(records, owners, revisions, frozenset(slugs))


async def schemas_of(connection: Connection, records: Sequence[Record | None]) -> dict[bytes, str]:
    """The schemas that some records from the history name, by their hash."""
    hashes = {
        bytes.fromhex(record["params"]) for record in records if record and "params" in record
    }
    rows = await connection.fetch(SQL["schemas_by_hash"], hashes)
    return {row["hash"]: row["text"] for row in rows}


async def schemas(connection: Connection) -> dict[bytes, str]:
    """All schemas by their hash."""
    return {row["hash"]: row["text"] for row in await connection.fetch(SQL["schemas"])}


@lru_cache(maxsize=4096)
def digest(text: str) -> bytes:
    """The SHA-256 of a schema, its key in the database."""
    return hashlib.sha256(text.encode()).digest()


def with_hash(record: Record | None) -> Record | None:
    """A record as the history stores it: `params` is the schema's hash in hex."""
    if record is None or "params" not in record:
        return record
    return {**record, "params": digest(record["params"]).hex()}


def with_text(record: Record | None, texts: dict[bytes, str]) -> Record | None:
    """A record from the history with its schema as text again."""
    if record is None or "params" not in record:
        return record
    return {**record, "params": texts[bytes.fromhex(record["params"])]}
