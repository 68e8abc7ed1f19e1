"""Marks the workers that died on this machine, so that `apply --wait` soon ignores them.

From outside a dead worker cannot be told from one that is cut off, which may still serve an old
revision. A worker of the same machine can tell.
"""

import os
import socket
import time
from pathlib import Path
from uuid import UUID

from gateway.database.connect import Connection
from gateway.database.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_STARTED_AT = time.monotonic()


async def mark(connection: Connection, worker: UUID) -> None:
    """Record that workers of this machine whose processes are gone take no calls any more."""
    rows = await connection.fetch(_SQL["workers_of_machine"], socket.gethostname(), worker)
    dead = [row["id"] for row in rows if _is_dead(row["name"], row["silence"])]
    if dead:
        await connection.execute(_SQL["mark_dead"], dead)


def _is_dead(name: str, silence: float) -> bool:
    """Whether no process is this worker: it has ended, or this one has its number now."""
    pid = name.rpartition(":")[2]
    if not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        # In a container each start has the same number.
        return silence > time.monotonic() - _STARTED_AT
    return not _is_running(int(pid))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return True
