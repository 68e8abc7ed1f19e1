"""The last good registry on disk; a worker starts from it while the database is unavailable.

A file of JSON lines: a header with format, revision and its random id, the database's address, the
SHA-256 of the other lines, and a signature if there is a key; then applications, services, schemas,
routes.
"""

import asyncio
import contextlib
import hashlib
import hmac
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from gateway.registry.records import (
    Route,
    application_from,
    record_of,
    route_from,
    service_from,
    service_record,
)
from gateway.registry.revision import Revision
from gateway.registry.schema import ParamSchema, interned
from gateway.registry.table import Table
from gateway.runtime import events

FORMAT = 4
SLICE = 25
SLICE_PAUSE = 0.002
"""Seconds between two slices, in which the worker answers requests."""

ABANDONED_AGE = 600.0
"""Seconds after which a temporary file belongs to a writer that was killed."""


class SnapshotError(Exception):
    """The snapshot is unusable; the text says why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a snapshot is bound to: the database's address, and the key that signs it, if any."""

    address: str = ""
    key: str = ""

    def sign(self, checksum: str) -> str:
        """HMAC-SHA256 of a checksum, in hex."""
        return hmac.new(self.key.encode(), checksum.encode(), hashlib.sha256).hexdigest()


UNBOUND = Origin()
"""The default: no address, no key."""


def load(path: Path, origin: Origin = UNBOUND) -> Table | None:
    """The table of a snapshot, None if the file does not exist.

    Raises SnapshotError, also for a snapshot of another database and, with a key, for one that
    this key did not sign.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}") from error
    first_line, _, body = raw.partition(b"\n")
    try:
        header = orjson.loads(first_line)
        revision = _revision(header)
        checksum = _checksum(revision, header["database"], [body])
        if header["format"] != FORMAT or header["sha256"] != checksum:
            raise SnapshotError(
                f"{path} is damaged or was written by another version: format or checksum differs"
            )
        _check_origin(path, header, origin)
        return _table(revision, body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{path} is damaged: {type(error).__name__}") from error


def _check_origin(path: Path, header: dict[str, Any], origin: Origin) -> None:
    signature = str(header.get("signature", "")).encode()
    if origin.key and not hmac.compare_digest(signature, origin.sign(header["sha256"]).encode()):
        raise SnapshotError(f"{path} is not signed with the key of GATEWAY_SNAPSHOT_KEY")
    if header["database"] != origin.address:
        raise SnapshotError(
            f"{path} belongs to another database, {header['database'] or 'without an address'}; "
            f"this gateway uses {origin.address or 'none'}"
        )


def _revision(header: dict[str, Any]) -> Revision:
    uid = header["uid"]
    return Revision(number=header["revision"], uid=None if uid is None else UUID(uid))


def _table(revision: Revision, body: bytes) -> Table:
    lines = iter(body.splitlines())
    applications, services = orjson.loads(next(lines)), orjson.loads(next(lines))
    schemas = [interned(text) for text in orjson.loads(next(lines))]
    table = Table(
        revision.number,
        services=[service_from(name, record) for name, record in services.items()],
        applications=[application_from(slug, record) for slug, record in applications.items()],
        revision_uid=revision.uid,
    )
    for line in lines:
        for name, record, schema in orjson.loads(line):
            table.add(route_from(name, record, schemas[schema]))
    return table


async def save(path: Path, table: Table, origin: Origin = UNBOUND) -> None:
    """Replace the snapshot by a table, in small slices so that requests do not wait."""
    lines: list[bytes] = []
    for line in _lines(table, await _schema_indexes(table)):
        lines.append(line)
        await asyncio.sleep(SLICE_PAUSE)
    try:
        await asyncio.to_thread(_write, path, table.identity, origin, lines)
    except OSError as error:
        events.emit(events.REGISTRY_SNAPSHOT_FAILED, path=str(path), reason=str(error))


def saved_revision(path: Path) -> Revision | None:
    """The revision of the snapshot, None if it does not exist or cannot be read."""
    try:
        with path.open("rb") as file:
            return _revision(orjson.loads(file.readline()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def written_at(path: Path) -> float:
    """When the snapshot was written, in seconds of the system's clock; -inf if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return -math.inf


async def _schema_indexes(table: Table) -> dict[ParamSchema, int]:
    """The index of each schema in the snapshot's list of schemas."""
    indexes: dict[ParamSchema, int] = {}
    routes = iter(table.routes.values())
    while schemas := [route.params for route in islice(routes, 10 * SLICE)]:
        for schema in schemas:
            indexes.setdefault(schema, len(indexes))
        await asyncio.sleep(0)
    return indexes


def _lines(table: Table, schema_indexes: dict[ParamSchema, int]) -> Iterator[bytes]:
    applications = table.applications.values()
    yield orjson.dumps({a.slug: {"title": a.title, "roles": [*a.roles]} for a in applications})
    yield orjson.dumps({s.name: service_record(s) for s in table.services.values()})
    yield orjson.dumps([schema.text for schema in schema_indexes])
    routes = iter(table.routes.values())
    while rows := [_row(route, schema_indexes) for route in islice(routes, SLICE)]:
        yield orjson.dumps(rows)


def _row(route: Route, schema_indexes: dict[ParamSchema, int]) -> list[Any]:
    return [route.name, record_of(route), schema_indexes[route.params]]


def _write(path: Path, revision: Revision, origin: Origin, lines: list[bytes]) -> None:
    # Line by line: one copy of thirty megabytes would block the requests meanwhile.
    lines = [line + b"\n" for line in lines]
    checksum = _checksum(revision, origin.address, lines)
    header = {
        "format": FORMAT,
        "revision": revision.number,
        "uid": revision.uid and str(revision.uid),
        "database": origin.address,
        "sha256": checksum,
    }
    if origin.key:
        header |= {"signature": origin.sign(checksum)}
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb", opener=_private) as file:
            file.write(orjson.dumps(header) + b"\n")
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _checksum(revision: Revision, address: str, parts: Iterable[bytes]) -> str:
    """The SHA-256 of header and content, so that none can change without the others."""
    checksum = hashlib.sha256(f"{revision.number} {revision.uid}\n{address}\n".encode())
    for part in parts:
        checksum.update(part)
    return checksum.hexdigest()


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of killed writers."""
    for temporary in path.parent.glob(f"{path.name}.[0-9]*"):
        with contextlib.suppress(OSError):
            if time.time() - temporary.stat().st_mtime > ABANDONED_AGE:
                temporary.unlink()
