"""A bulkhead: limits the places that one owner holds, so that it cannot use up all of them."""

from collections import defaultdict
from collections.abc import Hashable

from gateway.database.wait_queue import WaitQueue


class Bulkhead:
    """Grants each owner at most `limit` places; further requests wait in order."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Hashable, int] = {}
        self._waiters: defaultdict[Hashable, WaitQueue[None]] = defaultdict(WaitQueue)

    async def acquire(self, owner: Hashable) -> None:
        """Take a place, now or when the owner releases one. Raises the error of `fail_waiters`."""
        held = self._held.get(owner, 0)
        if held < self._limit:
            self._held[owner] = held + 1
        else:
            await self._waiters[owner].wait(lambda _: self.release(owner))

    def release(self, owner: Hashable) -> None:
        """Release a place; the owner's first waiter gets it."""
        if owner in self._waiters:
            if self._waiters[owner].hand_over(None):
                return
            del self._waiters[owner]
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]

    def waiting(self) -> int:
        """How many requests of all owners wait."""
        return sum(map(len, self._waiters.values()))

    def fail_waiters(self, error: Exception) -> None:
        """Raise an error in every waiter; they get no places."""
        for waiters in self._waiters.values():
            waiters.fail_all(error)
        self._waiters.clear()
