"""The database of a route that reads from replicas."""

from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple, TypeVar

import asyncpg

from gateway.database.connect import Connection
from gateway.database.errors import DatabaseError
from gateway.database.handle import Database, never
from gateway.database.pool import Pool
from gateway.database.replicas import Replica, Replicas

T = TypeVar("T")


class ReadSource(NamedTuple):
    """The replicas, and how old their data may be, in seconds."""

    replicas: Replicas
    stale: float


class WriteRefusedError(RuntimeError):
    """A route with `reads` tried to write: an error of the service."""

    def __init__(self) -> None:
        super().__init__("a route that has `reads` in the manifest cannot write")


class ReplicaDatabase(Database):
    """Reads from a replica whose data is new enough, otherwise from the primary.

    If the replica fails, the primary is asked. Both refuse writes, so that a service that writes
    fails at its first call, and not only while a replica answers.
    """

    __slots__ = ("_source",)

    def __init__(
        self,
        source: ReadSource,
        pool: Pool,
        deadline: float,
        scope: Hashable,
        owner: Hashable,
        is_disconnected: Callable[[], bool],
    ) -> None:
        super().__init__(pool, deadline, scope, owner, is_disconnected)
        self._source = source

    def _for_shared_read(self) -> Database:
        return ReplicaDatabase(self._source, self._pool, self._deadline, None, self._owner, never)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` on one connection.

        Raises DatabaseError, ClientDisconnectedError, and WriteRefusedError.
        """
        reads = self._source.replicas.reads

        async def without_writes(connection: Connection) -> T:
            try:
                return await work(connection)
            except asyncpg.ReadOnlySQLTransactionError as error:
                raise WriteRefusedError from error

        async def in_transaction(connection: Connection) -> T:
            async with connection.transaction(readonly=True):
                return await without_writes(connection)

        if replica := self._source.replicas.pick(self._source.stale):
            try:
                result = await self._on(replica).run_once(without_writes)
            except DatabaseError:
                # It was lost, its replay cancelled the query, or a new table has not come there.
                pass
            else:
                reads["replica"] += 1
                return result
        result = await super().run(in_transaction)
        reads["primary"] += 1
        return result

    def _on(self, replica: Replica) -> Database:
        database = Database(
            replica.pool, self._deadline, owner=self._owner, is_disconnected=self.is_disconnected
        )
        database.on_sent = self.on_sent
        return database
