"""The statements of a recorded request as spans: named after the query, never with values."""

import re
from types import TracebackType
from typing import Any, cast

import asyncpg

from gateway.database.connect import Connection
from gateway.database.sql import name_of
from gateway.runtime import trace_context
from gateway.runtime.tracing.spans import Span

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n)*([a-z]+)", re.IGNORECASE)


def traced(connection: Connection) -> Connection:
    """A connection whose statements are spans if the request is recorded; otherwise itself."""
    context = trace_context.current.get()
    if context is None or not context.recorded:
        return connection
    return cast("Connection", TracedConnection(connection))


class TracedConnection:
    """Stands for a connection, as the proxies of asyncpg's own pool do."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of a connection
        return getattr(self._connection, name)

    async def execute(self, query: str, *args: object, **options: Any) -> str:  # noqa: ANN401
        """asyncpg's, in a span."""
        with _Statement(query):
            return await self._connection.execute(query, *args, **options)

    async def executemany(self, command: str, *args: Any, **options: Any) -> None:  # noqa: ANN401
        """asyncpg's, in a span."""
        with _Statement(command):
            await self._connection.executemany(command, *args, **options)

    async def fetch(self, query: str, *args: object, **options: Any) -> Any:  # noqa: ANN401
        """asyncpg's, in a span."""
        with _Statement(query):
            return await self._connection.fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: object, **options: Any) -> Any:  # noqa: ANN401
        """asyncpg's, in a span."""
        with _Statement(query):
            return await self._connection.fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: object, **options: Any) -> Any:  # noqa: ANN401
        """asyncpg's, in a span."""
        with _Statement(query):
            return await self._connection.fetchval(query, *args, **options)

    def transaction(self, **options: Any) -> "_TracedTransaction":  # noqa: ANN401 - asyncpg's
        """asyncpg's, with a span for its begin and one for its end."""
        return _TracedTransaction(self._connection.transaction(**options))


class _TracedTransaction:
    """Stands for a transaction: the commit is often what takes the time."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Any) -> None:  # noqa: ANN401 - asyncpg's
        self._transaction = transaction

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of a transaction
        return getattr(self._transaction, name)

    async def __aenter__(self) -> None:
        with _Statement("begin"):
            await self._transaction.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _Statement("rollback" if kind else "commit"):
            await self._transaction.__aexit__(kind, error, trace)


class _Statement(Span):
    """The span of one statement."""

    __slots__ = ()

    def __init__(self, query: str) -> None:
        first = _FIRST_WORD.match(query)
        operation = first[1].upper() if first else "SQL"
        name = name_of(query) or operation
        super().__init__(
            name,
            "client",
            {
                "db.system.name": "postgresql",
                "db.operation.name": operation,
                "db.query.summary": name,
            },
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
            self.error_type = error.sqlstate
            self.attributes["db.response.status_code"] = error.sqlstate
        super().__exit__(kind, error, trace)
