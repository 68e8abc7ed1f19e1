"""The errors of the database: one hierarchy instead of the driver's several.

The driver's error is the cause (`__cause__`) of each.
"""

from types import TracebackType

import asyncpg


class DatabaseError(Exception):
    """The server refused a statement, or the driver could not send it.

    `sqlstate` is the server's error code (PostgreSQL, appendix A), None for an error of the driver.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def cause(self) -> str:
        """The type of the driver's error, for logs that must not quote its text."""
        return type(self.__cause__ or self).__name__


class DatabaseUnavailable(DatabaseError):  # noqa: N818 - a state of the database, as its status
    """The database is unavailable; it is unknown whether a write in progress was committed."""


class UniqueViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A row with these values exists already."""


class ForeignKeyViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A referenced row does not exist, or a row to delete is still referenced."""


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
    # What asyncpg raises between the server's last message and the end of the connection.
    asyncpg.InternalClientError,
)
"""Errors which mean that the server is gone or no longer accepts writes."""


def is_retryable(error: DatabaseError) -> bool:
    """Whether the server rolled the transaction back by itself, so that it can be repeated."""
    return error.sqlstate in _RETRYABLE


class translate_errors:  # noqa: N801 - used as a function
    """Translate the driver's errors into `DatabaseError`; terminate a lost connection.

    A class, since a generator costs three times as much, and each statement runs in one of these.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """There is nothing to do before the block."""

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Translate the error that ended the block. Raises DatabaseError."""
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
            # Bugs in our own code raise these too, and must not be taken for an outage. A time-out
            # of the caller is not an error of the database at all.
            if not isinstance(error, TimeoutError):
                raise DatabaseError(str(error) or type(error).__name__) from error
