"""Changes of the registry, applied at intervals during the whole run."""

import asyncio
import contextlib
import itertools
import tempfile
from pathlib import Path

from changes import ONE

from chaos.postgres import SERVER_LOST, Postgres
from chaos.record import Record
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

INTERVAL = 2.0
TIMEOUT = 20.0
"""Seconds between two applies, and for one, after which it is given up: its outcome is unknown."""


async def apply_now_and_then(postgres: Postgres, record: Record) -> None:
    """Apply one change after another until cancelled; note the revisions of those that returned."""
    with tempfile.TemporaryDirectory() as folder:
        for number in itertools.count():
            with contextlib.suppress(*SERVER_LOST, TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    record.applied.append(await _apply(postgres, Path(folder), number))
            await asyncio.sleep(INTERVAL)


async def _apply(postgres: Postgres, folder: Path, number: int) -> int:
    """Apply a change of one route in a namespace of its own; return its revision."""
    file = folder / "one.yaml"
    file.write_text(ONE.format(number=number))
    [desired] = check(file)
    async with postgres.connected() as db:
        return (await apply(db, desired, Author("chaos"))).revision
