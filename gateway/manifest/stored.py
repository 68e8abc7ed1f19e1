"""The registry as it is stored, record by record."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.manifest.change import Change, Key, Record, Records
from gateway.registry import paths

SQL = load_queries(Path(__file__).with_name("queries.sql"))


class Stored:
    """The registry, or the part of it that was asked for.

    `owners` says which one a record belongs to, `bases` where each stands.
    """

    def __init__(
        self, records: dict[Key, Record], owners: dict[Key, str], bases: dict[str, int]
    ) -> None:
        self.records = records
        self.owners = owners
        self.bases = bases

    def of(self, namespace: str) -> Records:
        """The records of one namespace."""
        return {
            key: record for key, record in self.records.items() if self.owners[key] == namespace
        }

    def base(self, namespace: str) -> int:
        """The newest revision of a namespace, 0 before its first."""
        return self.bases.get(namespace, 0)

    def after(self, changes: list[Change]) -> dict[Key, Record]:
        """All records as they would be after some changes."""
        records = dict(self.records)
        for change in changes:
            records.pop((change.kind, change.name), None)
            if change.after is not None:
                records[change.kind, change.name] = change.after
        return records


async def read(connection: Connection, namespaces: Sequence[str] | None = None) -> Stored:
    """The registry, whole or of some namespaces; services are always all there.

    The caller's transaction decides what state that is.
    """
    if namespaces is None:
        return await _stored(connection, await connection.fetch(SQL["routes"]))
    return await _stored(connection, await connection.fetch(SQL["routes_of"], namespaces))


async def neighbours(connection: Connection, changes: Sequence[Change]) -> Stored:
    """The records that some changes may come into conflict with, wherever they are."""
    names = [change.name for change in changes]
    records = [c.after for c in changes if c.kind == "route" and c.after is not None]
    shapes = list({paths.shape(record["path"]) for record in records})
    slugs = list({slug for record in records for slug in record["statuses"]})
    gone = [c.name for c in changes if c.kind == "service" and c.after is None]
    rows = await connection.fetch(SQL["neighbours"], names, shapes, slugs, gone)
    return await _stored(connection, rows)


async def _stored(connection: Connection, routes: list[Any]) -> Stored:
    hashes = {row["params"] for row in routes}
    found = await connection.fetch(SQL["schemas_by_hash"], hashes)
    texts = {row["hash"]: row["text"] for row in found}
    records: dict[Key, Record] = {}
    owners: dict[Key, str] = {}
    for row in await connection.fetch(SQL["services"]):
        key: Key = ("service", row["name"])
        records[key], owners[key] = row["record"], row["namespace"]
    for row in routes:
        key = ("route", row["name"])
        records[key] = row["record"]
        records[key]["params"] = texts[row["params"]]
        owners[key] = row["namespace"]
    bases = {row["namespace"]: row["revision"] for row in await connection.fetch(SQL["bases"])}
    return Stored(records, owners, bases)


async def schemas(connection: Connection) -> dict[bytes, str]:
    """All schemas, by their hash."""
    return {row["hash"]: row["text"] for row in await connection.fetch(SQL["schemas"])}


@lru_cache(maxsize=4096)
def digest(text: str) -> bytes:
    """The hash by which a schema is known."""
    return hashlib.sha256(text.encode()).digest()


def with_hash(record: Record | None) -> Record | None:
    """A record as history keeps it: the schema by its hash in hex."""
    if record is None or "params" not in record:
        return record
    return {**record, "params": digest(record["params"]).hex()}


def with_text(record: Record | None, texts: dict[bytes, str]) -> Record | None:
    """A record of the history with its schema as text again."""
    if record is None or "params" not in record:
        return record
    return {**record, "params": texts[bytes.fromhex(record["params"])]}
