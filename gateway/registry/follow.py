"""The worker's registry: a reference to the newest table, kept up to date by NOTIFY and polls."""

import asyncio
import contextlib
import math
import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from gateway.database.connect import CONNECT_TIMEOUT, Connection, connect, hard_timeout
from gateway.database.errors import (
    UNDEFINED_TABLE,
    DatabaseError,
    DatabaseUnavailable,
    translate_errors,
)
from gateway.database.pool import Pool
from gateway.registry import dead_workers, snapshot, store, transitions
from gateway.registry.revision import EMPTY, Revision
from gateway.registry.table import Table
from gateway.runtime import events

POLL_INTERVAL = 3.0
DEAF_POLL_INTERVAL = 1.0
"""Seconds between two polls, while notices arrive and while they do not."""

OUTAGE_DELAY = 3.0
"""Seconds without the database until it is logged that the registry alone cannot use it."""

ANSWER_TIMEOUT = 1.0
LOAD_TIMEOUT = 60.0
MIN_PAUSE = 0.1
MAX_PAUSE = 1.0
SNAPSHOT_DELAY = 1.0
"""Seconds before a snapshot is written, so that many quick changes are written once."""

MAX_WAITING = 64
REVISION_TIMEOUT = 2.0

Waited = Literal["served", "late", "unknown"]
UNUSABLE = "the database cannot be used"
_Part = Literal["start", "revision", "database"]


class Registry:
    """Holds `current`, the table that each request reads once; None until one is loaded.

    `served_since` is when this worker began to serve it.
    A worker serves a revision as a whole. If a revision cannot be built, the worker keeps serving
    the one before, and `problems` says so.
    `pool` knows the state of the database. `backend` gives the server process of the connection
    that hears notices, None while none does. `leaves` says that the worker takes no calls without
    the database. The connection is replaced before it is as old as those of the pool.
    """

    def __init__(
        self,
        dsn: str,
        snapshot_path: Path | None = None,
        origin: snapshot.Origin = snapshot.UNBOUND,
        *,
        pool: Pool | None = None,
        backend: Callable[[], int | None] = lambda: None,
        leaves: bool = False,
    ) -> None:
        self.current: Table | None = None
        self.served_since: datetime | None = None
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.worker_id = uuid.uuid4()
        self._dsn = dsn
        self._pool = pool or Pool(dsn, 1)
        self._backend = backend
        self._leaves = leaves
        self._lost_at: float | None = None
        self._snapshot = snapshot_path
        self._origin = origin
        self._problems: dict[_Part, str] = {"start": "the registry is not loaded yet"}
        self._from_database = False
        self._has_tables = True
        self._pause = MIN_PAUSE
        self._hint = asyncio.Event()
        self._changed = asyncio.Condition()
        self._saved: Table | None = None
        self._snapshot_written_at = -math.inf
        self._cleanup: asyncio.Task[None] | None = None
        self._newest = EMPTY
        self._polls_begun = 0
        self._polls_done = 0
        self._waiting = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the newest revision is not served; empty if it is."""
        return tuple(self._problems.values())

    @property
    def snapshot_age(self) -> float:
        """Seconds since the snapshot on disk was written; infinite if there is none."""
        return max(0.0, time.time() - self._snapshot_written_at)

    async def start(self, seconds: float) -> None:
        """Wait at most `seconds` for the first table.

        If the database does not answer in time, serve the last good registry from disk until it
        does.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        await self._wait(lambda: self._from_database or "database" in self._problems, seconds)
        # A database without a registry is not an outage: the snapshot is not of this database.
        if self._has_tables:
            self.start_from_snapshot()
            if not self.current:
                await self.wait_loaded(deadline - asyncio.get_running_loop().time())

    def start_from_snapshot(self) -> None:
        """Serve the last good registry from disk, unless a table is already served."""
        if self._snapshot is None or self.current:
            return
        try:
            self.current = snapshot.load(self._snapshot, self._origin)
            self._snapshot_written_at = snapshot.written_at(self._snapshot)
            self.served_since = datetime.now(UTC)
        except snapshot.SnapshotError as error:
            self._set_problem("start", f"the snapshot is refused: {error}")
            return
        if self.current:
            revision = self.current.revision
            self._set_problem("start", f"serving revision {revision} from the snapshot on disk")

    async def wait_loaded(self, seconds: float) -> bool:
        """Wait at most `seconds` until a table is loaded from the database."""
        return await self._wait(lambda: self._from_database, seconds)

    async def wait_for(self, revision: int) -> Waited:
        """Wait until a revision is served, at most `REVISION_TIMEOUT` seconds.

        The outcome is `unknown` if a poll that began after this call did not find the revision in
        the database. At most `MAX_WAITING` requests wait; for any more it is `late` at once.
        """
        if self._serves(revision):
            return "served"
        if self._waiting >= MAX_WAITING:
            return "late"
        poll = self._polls_begun + 1
        self._waiting += 1
        self.poll_now()
        try:
            await self._wait(
                lambda: self._serves(revision) or self._lacks(revision, poll), REVISION_TIMEOUT
            )
        finally:
            self._waiting -= 1
        if self._serves(revision):
            return "served"
        return "unknown" if self._lacks(revision, poll) else "late"

    async def follow(self) -> None:
        """Keep `current` up to date until cancelled; reconnect after a lost connection."""
        while True:
            try:
                await self._follow(await connect(self._dsn, CONNECT_TIMEOUT, purpose="registry"))
                continue
            except DatabaseUnavailable as error:
                self._set_unavailable(error)
            except Exception as error:  # noqa: BLE001 - a loop that ends leaves a stale worker
                self._set_problem("database", f"{UNUSABLE}: {error}")
            await self._wake_waiters()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, MAX_PAUSE)

    def _set_unavailable(self, error: DatabaseUnavailable) -> None:
        """Note an outage; it is logged here only if the pools have long not met it."""
        problem = f"{UNUSABLE}: {error}"
        now = time.monotonic()
        self._lost_at = self._lost_at or now
        is_known = self._pool.problem or now - self._lost_at < OUTAGE_DELAY
        if is_known and self._has_tables:
            self._problems["database"] = problem
        else:
            self._set_problem("database", problem)

    async def keep_snapshot(self) -> None:
        """Write a snapshot after each change, until cancelled."""
        if self._snapshot is None:
            return
        while True:
            await self._wait(lambda: self._from_database and self.current is not self._saved, None)
            await asyncio.sleep(SNAPSHOT_DELAY)
            table = self.current
            # The first time always: the file may be of another database.
            differs = table and snapshot.saved_revision(self._snapshot) != table.identity
            if table and (differs or not self._saved):
                await snapshot.save(self._snapshot, table, self._origin)
            self._snapshot_written_at = snapshot.written_at(self._snapshot)
            self._saved = table

    def poll_now(self) -> None:
        """Poll for a new revision now instead of at the end of the interval."""
        self._hint.set()

    def _serves(self, revision: int) -> bool:
        return self.current is not None and self.current.revision >= revision

    def _lacks(self, revision: int, poll: int) -> bool:
        return self._polls_done >= poll and self._newest.number < revision

    async def _wait(self, holds: Callable[[], bool], seconds: float | None) -> bool:
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    return await self._changed.wait_for(holds)
            except TimeoutError:
                return False

    async def _follow(self, connection: Connection) -> None:
        """Poll over one connection until it is lost or old."""
        expires_at = time.monotonic() + self._pool.random_age()
        try:
            with translate_errors(connection):
                connection.add_termination_listener(lambda _: self.poll_now())
                # A worker that starts reports before its first poll, and `apply --wait` waits for
                # it; what the same statement reads may be older than the report.
                await self._report(connection)
                await dead_workers.mark(connection, self.worker_id)
                while time.monotonic() < expires_at:
                    await self._refresh(connection)
                    self._pause = MIN_PAUSE
                    await self._wait_for_hint()
        except DatabaseError as error:
            if error.sqlstate != UNDEFINED_TABLE:
                raise
            self._has_tables = False
            raise DatabaseUnavailable("it has no registry: run `gateway migrate`") from error
        except asyncio.CancelledError:
            await self._deregister(connection)
            raise
        finally:
            connection.terminate()

    async def _refresh(self, connection: Connection) -> None:
        self._hint.clear()
        self._polls_begun += 1
        self._newest = await self._report(connection)
        with hard_timeout(connection, LOAD_TIMEOUT):
            has_changed = await self._load_if_new(connection, self._newest)
        self._polls_done = self._polls_begun
        await self._wake_waiters()
        if has_changed:
            await self._report(connection)
        self._problems.pop("database", None)
        self._lost_at = None

    async def _report(self, connection: Connection) -> Revision:
        """Report what this worker serves; return the newest revision.

        While commits are not confirmed it only asks: a report would wait with them.
        """
        commits = self._pool.commits
        report = store.Report(
            worker=self.worker_id,
            name=self.name,
            revision=self.current.identity if self.current else EMPTY,
            problem=self._problems.get("revision"),
            leaves=self._leaves,
            backend=self._backend(),
        )
        try:
            with hard_timeout(connection, ANSWER_TIMEOUT):
                if commits.problem:
                    return await store.newest(connection)
                return await store.heartbeat(connection, report)
        except DatabaseUnavailable:
            commits.is_suspected = True
            raise

    async def _deregister(self, connection: Connection) -> None:
        """Delete the worker's row, so that `apply --wait` does not wait for a stopped worker."""
        try:
            with hard_timeout(connection, ANSWER_TIMEOUT):
                await store.deregister(connection, self.worker_id)
        except (DatabaseError, OSError):
            events.emit(events.REGISTRY_DEREGISTER_FAILED)

    async def _wait_for_hint(self) -> None:
        # Not asyncio.wait_for, which in Python 3.11 may lose a cancellation: the loop never stops.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_INTERVAL if self._backend() else DEAF_POLL_INTERVAL):
                await self._hint.wait()

    async def _load_if_new(self, connection: Connection, newest: Revision) -> bool:
        """Load the newest revision unless it is served; return whether there is news to report."""
        table = self.current
        before = self._problems.get("revision")
        if table and self._from_database and newest == table.identity:
            self._problems.pop("revision", None)
            return before is not None
        try:
            with translate_errors(connection):
                # A table from the snapshot too may be of a history that the database lost.
                went_back = table and not await store.has_revision(connection, table.identity)
                if table and self._from_database and not went_back:
                    loaded = await store.catch_up(connection, table)
                else:
                    loaded = await store.load(connection)
        except (DatabaseUnavailable, OSError):
            raise
        except Exception as error:
            if connection.is_closed():
                raise
            self._set_problem("revision", f"revision {newest.number} cannot be built: {error!r}")
            return self._problems["revision"] != before
        if table and went_back:
            transitions.report_lost(table.identity, loaded.identity)
        await self._swap(loaded)
        return True

    async def _swap(self, loaded: Table) -> None:
        old, self.current = self.current, loaded
        self.served_since = datetime.now(UTC)
        if not (old and loaded.routes.shares_base(old.routes)):
            self._cleanup = asyncio.create_task(transitions.clean_up(old, loaded))
        self._problems.clear()
        self._from_database = True
        events.emit(events.REGISTRY_SERVED, revision=loaded.revision, routes=len(loaded.routes))
        await self._wake_waiters()

    async def _wake_waiters(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _set_problem(self, part: _Part, problem: str) -> None:
        if problem != self._problems.get(part):
            events.emit(events.REGISTRY_PROBLEM, part=part, problem=problem)
        self._problems[part] = problem
