"""What asking the database may end with instead of rows: one hierarchy over the driver's many.

The driver's error is the cause (`__cause__`) of each.
"""

from types import TracebackType

import asyncpg


class DatabaseError(Exception):
    """The server refused a statement, or the driver could not send it.

    `sqlstate` is the server's code (PostgreSQL, appendix A), None where the server said nothing.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def cause(self) -> str:
        """The name of the driver's error, for logs that must not quote its text."""
        return type(self.__cause__ or self).__name__


class DatabaseUnavailable(DatabaseError):  # noqa: N818 - a state of the database, as its status
    """The database cannot be used now. Whether a write in progress was committed is unknown."""


class UniqueViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A row with these values exists already."""


class ForeignKeyViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A row that is referred to does not exist, or is still referred to."""


UNDEFINED_TABLE = "42P01"
_RETRYABLE = frozenset(("40001", "40P01"))
_VIOLATIONS: dict[str, type[DatabaseError]] = {
    "23503": ForeignKeyViolation,
    "23505": UniqueViolation,
}
_SERVER_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    # What asyncpg raises between the server's last words and the end of the connection.
    asyncpg.InternalClientError,
)
"""How the server itself, or asyncpg for it, says that it is gone or no longer writes."""


def is_retryable(error: DatabaseError) -> bool:
    """Whether the server has rolled back by itself, so that the work can be done again."""
    return error.sqlstate in _RETRYABLE


class translate_errors:  # noqa: N801 - used as a function
    """Turn the driver's errors into `DatabaseError`; a lost connection is never used again.

    A class, since a generator costs three times as much, and each statement runs in one.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """There is nothing to do before the block."""

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Translate what the block ended with. Raises DatabaseError."""
        if error is None:
            return
        if isinstance(error, _SERVER_GONE):
            self._connection.terminate()
            raise DatabaseUnavailable(str(error) or "the database does not answer") from error
        if isinstance(error, asyncpg.PostgresError):
            kind = _VIOLATIONS.get(error.sqlstate or "", DatabaseError)
            raise kind(str(error), error.sqlstate) from error
        if isinstance(error, OSError | asyncpg.InterfaceError):
            if self._connection.is_closed():
                raise DatabaseUnavailable(str(error) or "the database does not answer") from error
            # A mistake in our own code raises these too, and must not pass for an outage. A
            # time-out of the caller is not the database's at all.
            if not isinstance(error, TimeoutError):
                raise DatabaseError(str(error) or type(error).__name__) from error
