"""A queue in which clients take turns, however many places each of them asks for."""

import asyncio
from collections import deque

_Waiters = deque[asyncio.Future[None]]


class QueueFull(Exception):  # noqa: N818 - the queue's state, which its caller translates
    """Too many wait, and this client has no fewer waiting than the others."""


class FairQueue:
    """Hands out `free` slots, by turns among the clients that wait.

    When `max_waiting` wait, the client with the most of them gives up its latest one for a client
    that has fewer: a client fills the queue only while no other needs it.
    """

    def __init__(self, *, free: int, max_waiting: int) -> None:
        self._free = free
        self._max_waiting = max_waiting
        # In the order of the turns; a client with nothing waiting has no entry.
        self._waiters: dict[str, _Waiters] = {}
        self._waiting = 0

    async def enter(self, client: str) -> None:
        """Wait for a slot; `leave` must follow. Raises QueueFull."""
        if self._free and not self._waiting:
            self._free -= 1
            return
        if self._waiting >= self._max_waiting:
            self._make_room(client)
        turn = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(client, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            self._withdraw(client, turn)
            raise

    def leave(self) -> None:
        """Give a slot back, to the client whose turn is next."""
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._waiters:
            client = next(iter(self._waiters))
            turn = self._waiters[client].popleft()
            self._waiting -= 1
            # To the end of the turns, if more of this client wait.
            if waiters := self._waiters.pop(client):
                self._waiters[client] = waiters
            # A caller that has just left is still here, until its task runs.
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

    def _make_room(self, client: str) -> None:
        """Refuse the latest waiter of the client with the most. Raises QueueFull for `client`."""
        most = max(self._waiters, key=lambda name: len(self._waiters[name]))
        if len(self._waiters[most]) <= len(self._waiters.get(client, ())) + 1:
            raise QueueFull
        turn = self._waiters[most].pop()
        self._waiting -= 1
        if not turn.done():
            turn.set_exception(QueueFull())

    def _withdraw(self, client: str, turn: asyncio.Future[None]) -> None:
        """Remove a cancelled waiter, or give back the slot that it got at the same moment."""
        if not turn.cancelled() and turn.exception() is None:
            self.leave()
            return
        waiters = self._waiters.get(client)
        if waiters and turn in waiters:
            waiters.remove(turn)
            self._waiting -= 1
            if not waiters:
                del self._waiters[client]
