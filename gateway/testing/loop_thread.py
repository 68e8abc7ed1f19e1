"""An event loop in a thread: tests of any kind use what runs in it, with and without asyncio."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class LoopThread:
    """A thread with an event loop; `close` ends both."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="gateway-tests", daemon=True
        )
        self._thread.start()
        self._ending: list[concurrent.futures.Future[None]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs in the loop; its errors are raised here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextmanager
    def within(
        self, context: AbstractAsyncContextManager[T], *, in_background: bool = False
    ) -> Iterator[T]:
        """Enter a context in the loop for the length of the block; yields what it yields.

        With `in_background` it may still be ending after the block, at most until the next but one.
        """
        while len(self._ending) > 1:
            self._ending.pop(0).result()
        stop = self.run(_event())
        entered: asyncio.Future[T] = self.run(_future())
        held = asyncio.run_coroutine_threadsafe(_hold(context, entered, stop), self._loop)
        try:
            yield self.run(_first(entered))
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            self._ending.append(held)
            if not in_background:
                self._ending.pop().result()

    def finish(self) -> None:
        """Wait for what is still ending."""
        while self._ending:
            self._ending.pop().result()

    def close(self) -> None:
        """Stop the loop, and wait until the thread has ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _event() -> asyncio.Event:
    return asyncio.Event()


async def _future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


async def _first(entered: "asyncio.Future[T]") -> T:
    return await entered


async def _hold(
    context: AbstractAsyncContextManager[T], entered: "asyncio.Future[T]", stop: asyncio.Event
) -> None:
    """Enter and leave a context in one task, as task groups and time-outs need it."""
    try:
        async with context as value:
            entered.set_result(value)
            await stop.wait()
    except BaseException as error:
        if entered.done():
            raise
        entered.set_exception(error)
