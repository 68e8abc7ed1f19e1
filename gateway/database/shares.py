"""How many of some places one owner may have, so that others find some too."""

import asyncio
from collections import deque
from collections.abc import Hashable


class Shares:
    """Counts the places of each owner: at most `most`; whoever wants more waits in order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, owner: Hashable) -> None:
        """One place more, now or when the owner gives one back. Raises what `fail` was told."""
        held = self._held.get(owner, 0)
        if held < self._most:
            self._held[owner] = held + 1
        else:
            await self._wait(owner)

    async def _wait(self, owner: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The place may have been handed over just before its taker left.
            if turn.done() and not turn.cancelled() and not turn.exception():
                self.give(owner)
            raise

    def fail(self, error: Exception) -> None:
        """Tell all who wait that it is in vain."""
        for waiting in self._waiting.values():
            for turn in waiting:
                if not turn.done():
                    turn.set_exception(error)
        self._waiting.clear()

    def give(self, owner: Hashable) -> None:
        """One place less, which goes straight to the first who waits."""
        waiting = self._waiting.get(owner, ())
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(owner, None)
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
