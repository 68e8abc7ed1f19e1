"""Reads that are the same share one query, if it begins after they arrived."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeAlias

Tell: TypeAlias = Callable[[], None]
Make: TypeAlias = Callable[[Tell], Awaitable[Any]]


class _Round:
    """One query, and those that wait for it."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.begun = False
        self.task: asyncio.Task[None] | None = None
        self.following: _Round | None = None
        self._tell: list[Tell] = []
        self._waiting: list[asyncio.Future[Any]] = []

    @property
    def is_wanted(self) -> bool:
        """Whether anybody has stayed."""
        return any(not each.done() for each in self._waiting)

    def join(self, make: Make, tell: Tell) -> asyncio.Future[Any]:
        """A place in it; who comes last has the longest time, and it is theirs that is made."""
        mine: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.make = make
        self._tell.append(tell)
        self._waiting.append(mine)
        return mine

    def begin(self) -> None:
        """The query is on its way."""
        self.begun = True
        waiting, self._tell = self._tell, []
        for tell in waiting:
            tell()

    def normalise(self, result: object, error: BaseException | None = None) -> None:
        """The query is over: tell those who have stayed."""
        for each in self._waiting:
            if each.done():
                continue
            if error:
                each.set_exception(error)
            else:
                each.set_result(result)

    def leave(self) -> None:
        """Somebody left: what has not begun is not done for nobody."""
        if self.task and not (self.begun or self.is_wanted):
            self.task.cancel()


class Coalescer:
    """For each key one query under way, and one that will begin after it.

    Who asks while one is under way waits for the next: a result is never older than the question.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Round] = {}

    async def read(self, key: Hashable, make: Make, begun: Tell) -> Any:  # noqa: ANN401 - as made
        """What `make` makes, whoever began it; who leaves does not end it for the others.

        `make` is given what to call when its query is on its way; `begun` is called then. Raises
        what `make` raises.
        """
        if current := self._under_way.get(key):
            round_ = current.following = current.following or _Round(make)
        else:
            round_ = self._start(key, _Round(make))
        try:
            return await round_.join(make, begun)
        except asyncio.CancelledError:
            round_.leave()
            raise

    def _start(self, key: Hashable, round_: _Round) -> _Round:
        self._under_way[key] = round_
        round_.task = asyncio.create_task(self._run(key, round_))
        return round_

    async def _run(self, key: Hashable, round_: _Round) -> None:
        try:
            round_.normalise(await round_.make(round_.begin))
        except BaseException as error:
            # Also where this is cancelled: whoever waits must hear of it.
            round_.normalise(None, error)
            if not isinstance(error, Exception):
                raise
        finally:
            del self._under_way[key]
            if round_.following and round_.following.is_wanted:
                self._start(key, round_.following)
