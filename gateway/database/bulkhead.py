"""How many of some places one owner may have, so that others find some too."""

from collections import defaultdict
from collections.abc import Hashable

from gateway.database.wait_queue import WaitQueue


class Bulkhead:
    """Counts the places of each owner: at most `most`; whoever wants more waits in order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Hashable, int] = {}
        self._waiting: defaultdict[Hashable, WaitQueue[None]] = defaultdict(WaitQueue)

    async def take(self, owner: Hashable) -> None:
        """One place more, now or when the owner gives one back. Raises what `fail` was told."""
        held = self._held.get(owner, 0)
        if held < self._most:
            self._held[owner] = held + 1
        else:
            await self._waiting[owner].wait(lambda _: self.give(owner))

    def give(self, owner: Hashable) -> None:
        """One place less, which goes straight to the first who waits."""
        if owner in self._waiting:
            if self._waiting[owner].give(None):
                return
            del self._waiting[owner]
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]

    def fail(self, error: Exception) -> None:
        """Tell all who wait that it is in vain."""
        for waiting in self._waiting.values():
            waiting.fail(error)
        self._waiting.clear()
