"""Reads that are the same share one query, if it begins after they arrived."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeAlias

Make: TypeAlias = Callable[[], Awaitable[Any]]
Tell: TypeAlias = Callable[[], None]


class _Round:
    """One query, and those that wait for it."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.told: list[Tell] = []
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Whoever waited may have left.
        self.result.add_done_callback(lambda done: done.cancelled() or done.exception())


class SharedReads:
    """For each key one query under way, and one that will begin after it.

    Who asks while one is under way waits for the next: a result is never older than the question.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, _Round | None] = {}

    async def read(self, key: Hashable, make: Make, begun: Tell) -> Any:  # noqa: ANN401 - as made
        """What `make` makes, whoever began it; `begun` is called when it begins.

        Raises what `make` raises.
        """
        if key not in self._next:
            round_ = _Round(make)
            self._next[key] = None
            round_.told.append(begun)
            task = asyncio.create_task(self._run(key, round_))
            round_.result.add_done_callback(lambda _: task)
        else:
            round_ = self._next[key] = self._next[key] or _Round(make)
            round_.told.append(begun)
        # Who leaves does not end it for the others.
        return await asyncio.shield(round_.result)

    async def _run(self, key: Hashable, round_: _Round | None) -> None:
        while round_:
            try:
                for begun in round_.told:
                    begun()
                round_.result.set_result(await round_.make())
            except Exception as error:  # noqa: BLE001 - they all have to hear of it
                round_.result.set_exception(error)
            round_, self._next[key] = self._next[key], None
        del self._next[key]
