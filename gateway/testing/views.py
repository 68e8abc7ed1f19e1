"""What a gateway did, as tests read it: its mail and its notifications."""

from collections.abc import Callable, Sequence
from typing import Any, overload

from gateway.database.connect import Connection
from gateway.dev.mandrill import FAILURES, Received, StandIn
from gateway.notifications import admin

MAX_NOTIFICATIONS = 1000


class Mail(Sequence[Received]):
    """The messages that the Mandrill stand-in received, the oldest first."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def fail(self, outcome: str | None) -> None:
        """Let each further message fail in this way, such as `payment`; None ends that.

        Raises LookupError for an unknown outcome.
        """
        if outcome is not None and outcome not in FAILURES:
            raise LookupError(f"mail cannot fail as {outcome!r}, only as {', '.join(FAILURES)}")
        self._stand_in.failure = FAILURES[outcome] if outcome else None

    @overload
    def __getitem__(self, index: int) -> Received: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Received]: ...
    def __getitem__(self, index: int | slice) -> Received | Sequence[Received]:
        """A message, or some of them."""
        return list(reversed(self._stand_in.received))[index]

    def __len__(self) -> int:
        """The number of messages."""
        return len(self._stand_in.received)

    def __repr__(self) -> str:
        """As a list."""
        return repr(list(self))


class Notifications(Sequence[dict[str, Any]]):
    """The open notifications as rows of the database, the oldest first; each look reads them."""

    def __init__(self, read: Callable[[], list[dict[str, Any]]]) -> None:
        self._read = read

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        """A notification, or some of them."""
        return self._read()[index]

    def __len__(self) -> int:
        """The number of open notifications."""
        return len(self._read())

    def __repr__(self) -> str:
        """As a list."""
        return repr(self._read())


async def open_notifications(connection: Connection) -> list[dict[str, Any]]:
    """The open notifications of a database, the first that was raised first."""
    rows = await admin.notifications(connection, MAX_NOTIFICATIONS, resolved=False)
    return sorted(map(dict, rows), key=lambda row: row["id"])
