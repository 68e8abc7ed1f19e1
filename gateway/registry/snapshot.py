"""The last good registry on disk, from which a worker starts while the database is away.

A file of JSON lines: a head with format, revision and the SHA-256 of all else, then services,
schemas, routes.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from gateway.registry.records import record_of, route_from, service_from
from gateway.registry.schema import ParamSchema, interned
from gateway.registry.table import Table

FORMAT = 1
SLICE = 25
SLICE_PAUSE = 0.002
"""Seconds between two slices of writing, which belong to the requests."""

ABANDONED_AGE = 600.0

_log = logging.getLogger(__name__)


class SnapshotError(Exception):
    """The snapshot cannot be used; the text says why."""


def load(path: Path) -> Table | None:
    """The table of a snapshot, or None where there is none. Raises SnapshotError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}") from error
    head, _, body = raw.partition(b"\n")
    try:
        known = orjson.loads(head)
        if known["format"] != FORMAT or known["sha256"] != _checksum(known["revision"], [body]):
            raise SnapshotError(f"{path} is damaged or of another version: its checksum differs")
        return _table(known["revision"], body)
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} is damaged: {type(error).__name__}") from error


def _table(revision: int, body: bytes) -> Table:
    lines = iter(body.splitlines())
    services = orjson.loads(next(lines))
    schemas = [interned(text) for text in orjson.loads(next(lines))]
    table = Table(revision, [service_from(name, record) for name, record in services.items()])
    for line in lines:
        for name, record, schema in orjson.loads(line):
            table.add(route_from(name, record, schemas[schema]))
    return table


async def save(path: Path, table: Table) -> None:
    """Write a table beside the old snapshot and put it in its place, a little at a time."""
    lines: list[bytes] = []
    for line in _lines(table, await _places(table)):
        lines.append(line)
        await asyncio.sleep(SLICE_PAUSE)
    try:
        await asyncio.to_thread(_write, path, table.revision, lines)
    except OSError as error:
        _log.warning("no snapshot of the registry could be written to %s: %s", path, error)


def saved_revision(path: Path) -> int:
    """The revision of the snapshot that is there, -1 for none that can be read."""
    try:
        with path.open("rb") as file:
            revision: int = orjson.loads(file.readline())["revision"]
    except (OSError, ValueError, KeyError, TypeError):
        return -1
    return revision


async def _places(table: Table) -> dict[ParamSchema, int]:
    """The place of each schema in the line of all."""
    places: dict[ParamSchema, int] = {}
    routes = iter(table.routes.values())
    while some := [route.params for route in islice(routes, 10 * SLICE)]:
        for schema in some:
            places.setdefault(schema, len(places))
        await asyncio.sleep(0)
    return places


def _lines(table: Table, places: dict[ParamSchema, int]) -> Iterator[bytes]:
    services = table.services.values()
    yield orjson.dumps(
        {s.name: {"kind": s.kind, "deployed": s.deployed, "title": s.title} for s in services}
    )
    yield orjson.dumps([schema.text for schema in places])
    routes = iter(table.routes.values())
    while rows := [_row(route, places) for route in islice(routes, SLICE)]:
        yield orjson.dumps(rows)


def _row(route: Any, places: dict[ParamSchema, int]) -> list[Any]:  # noqa: ANN401
    return [route.name, record_of(route), places[route.params]]


def _write(path: Path, revision: int, lines: list[bytes]) -> None:
    # Line by line: whoever copies thirty megabytes in one go holds up the requests meanwhile.
    lines = [line + b"\n" for line in lines]
    head = {"format": FORMAT, "revision": revision, "sha256": _checksum(revision, lines)}
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_halves(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(orjson.dumps(head) + b"\n")
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _checksum(revision: int, parts: Iterable[bytes]) -> str:
    """Of the revision too: a table under another number would pass for what it is not."""
    found = hashlib.sha256(b"%d\n" % revision)
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _remove_halves(path: Path) -> None:
    """Remove what writers left that were killed at it; nobody takes this long."""
    for half in path.parent.glob(f"{path.name}.*"):
        with contextlib.suppress(OSError):
            if time.time() - half.stat().st_mtime > ABANDONED_AGE:
                half.unlink()
