"""The errors of the database: one hierarchy instead of the driver's several.

The driver's error is the cause (`__cause__`) of each.
"""

import os
import re
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
    """The database is unavailable; it is unknown whether a write in progress was committed.

    With `sqlstate` the server itself refused the statement, for want of disk, memory or time.
    `was_sent` says that SQL was sent, and that no answer tells whether it took effect.
    """

    was_sent = False


class DatabaseReadOnly(DatabaseUnavailable):
    """The server refused a write, and wrote nothing: it is a standby, as a demoted primary is."""


class UniqueViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A row with these values exists already."""


class ForeignKeyViolation(DatabaseError):  # noqa: N818 - PostgreSQL's name
    """A referenced row does not exist, or a row to delete is still referenced."""


UNDEFINED_TABLE = "42P01"
READ_ONLY = "25006"
"""The transaction is read-only."""

TOO_MANY_CONNECTIONS = "53300"
_FATAL = frozenset(("FATAL", "PANIC"))
"""Severities after which the server closes the connection."""

_RETRYABLE = frozenset(("40001", "40P01"))
_VIOLATIONS: dict[str, type[DatabaseError]] = {
    "23503": ForeignKeyViolation,
    "23505": UniqueViolation,
}
_UNAVAILABLE_CLASSES = frozenset(("08", "53", "57", "58"))
"""Classes of codes: connection, insufficient resources, operator intervention, system error."""

_UNAVAILABLE_CODES = frozenset(("25P03", "25P04", "55P03", "XX001", "XX002"))
"""Time-outs of a session, a transaction and a lock; damaged data and indexes."""

_TIMED_OUT = frozenset(("55P03", "57014"))
_STOPPING = "57P"
_SERVER_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    # What asyncpg raises between the server's last message and the end of the connection.
    asyncpg.InternalClientError,
)
"""Errors which mean that the server is gone."""


LOST = "the connection is lost"
_ERRNO = re.compile(r"\[Errno (\d+)\]")


def describe(error: BaseException) -> str:
    """An error in the words of the server or of the system; the driver's are for programmers."""
    if isinstance(error, asyncpg.PostgresError):
        # The driver raises some of these itself.
        return str(error) if error.severity_en else LOST
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | AttributeError):
        return LOST
    # If a host has several addresses, the system's error is in the text of another one.
    if number := _ERRNO.search(str(error)):
        return os.strerror(int(number[1])).lower()
    return str(error) or LOST


def is_retryable(error: DatabaseError) -> bool:
    """Whether the server rolled the transaction back by itself, so that it can be repeated."""
    return error.sqlstate in _RETRYABLE


def is_unavailable(sqlstate: str) -> bool:
    """Whether the server cannot do its work at present, whatever the statement."""
    return sqlstate[:2] in _UNAVAILABLE_CLASSES or sqlstate in _UNAVAILABLE_CODES


def is_refusal(sqlstate: str) -> bool:
    """Whether a running server refuses its work: it is neither out of reach nor stopping."""
    is_away = sqlstate.startswith((_STOPPING, "08"))
    return is_unavailable(sqlstate) and not is_away


def has_timed_out(error: DatabaseError) -> bool:
    """Whether a time-out of the server rolled the statement back, perhaps for one locked row."""
    return error.sqlstate in _TIMED_OUT


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
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            self._connection.terminate()
            raise DatabaseReadOnly(str(error)) from error
        if isinstance(error, _SERVER_GONE) or self._is_used_after_loss(error):
            self._connection.terminate()
            raise DatabaseUnavailable(describe(error)) from error
        if isinstance(error, asyncpg.PostgresError):
            sqlstate = error.sqlstate or ""
            if is_unavailable(sqlstate):
                if error.severity_en in _FATAL:
                    self._connection.terminate()
                raise DatabaseUnavailable(str(error), sqlstate) from error
            kind = _VIOLATIONS.get(sqlstate, DatabaseError)
            raise kind(str(error), error.sqlstate) from error
        if isinstance(error, OSError | asyncpg.InterfaceError):
            if self._connection.is_closed():
                raise DatabaseUnavailable(describe(error)) from error
            # Bugs in our own code raise these too, and must not be taken for an outage. A time-out
            # of the caller is not an error of the database at all.
            if not isinstance(error, TimeoutError):
                raise DatabaseError(str(error) or type(error).__name__) from error

    def _is_used_after_loss(self, error: BaseException) -> bool:
        """Whether asyncpg went on with a statement after the connection was terminated.

        Its protocol is None then.
        """
        is_of_none = isinstance(error, AttributeError) and error.obj is None
        return is_of_none and self._connection.is_closed()
