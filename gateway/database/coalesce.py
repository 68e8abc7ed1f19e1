"""Singleflight: equal reads share one query, which starts after all of them have asked."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeAlias

OnSent: TypeAlias = Callable[[], None]
Query: TypeAlias = Callable[[OnSent], Awaitable[Any]]


class _Flight:
    """One query and the callers that wait for its result."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.sent = False
        self.task: asyncio.Task[None] | None = None
        self.next: _Flight | None = None
        # Its first caller's; the task of the query before it would pass on that one's trace.
        self.context = contextvars.copy_context()
        self._on_sent: list[OnSent] = []
        self._waiters: list[asyncio.Future[Any]] = []

    @property
    def is_wanted(self) -> bool:
        """Whether any caller still waits."""
        return any(not waiter.done() for waiter in self._waiters)

    def join(self, query: Query, on_sent: OnSent) -> asyncio.Future[Any]:
        """Add a caller before the query is sent; return the future of its result.

        The query of the last caller is used: it has the latest deadline.
        """
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.query = query
        self._on_sent.append(on_sent)
        self._waiters.append(waiter)
        return waiter

    def mark_sent(self) -> None:
        """Record that the query is on its way to the server."""
        self.sent = True
        callbacks, self._on_sent = self._on_sent, []
        for on_sent in callbacks:
            on_sent()

    def finish(self, result: object, error: BaseException | None = None) -> None:
        """Pass the result, or the error, to the callers that still wait."""
        for waiter in self._waiters:
            if waiter.done():
                continue
            if error:
                waiter.set_exception(error)
            else:
                waiter.set_result(result)

    def cancel_if_unwanted(self) -> None:
        """Cancel the query if it was not sent yet and no caller waits for it."""
        if self.task and not (self.sent or self.is_wanted):
            self.task.cancel()


class Coalescer:
    """Runs at most one query for each key, and one that starts after it.

    A caller that asks while a query runs waits for the next one, so no caller sees stale data.
    """

    def __init__(self) -> None:
        self._in_flight: dict[Hashable, _Flight] = {}

    async def read(self, key: Hashable, query: Query, on_sent: OnSent) -> Any:  # noqa: ANN401 - as read
        """The result of `query`, or of an equal one that starts after this call.

        `query` gets a function to call when it is sent, which then calls `on_sent`. A caller that
        is cancelled does not end the query for the others. Raises what the query raises.
        """
        if current := self._in_flight.get(key):
            flight = current.next = current.next or _Flight(query)
        else:
            flight = self._start(key, _Flight(query))
        try:
            return await flight.join(query, on_sent)
        except asyncio.CancelledError:
            flight.cancel_if_unwanted()
            raise

    def _start(self, key: Hashable, flight: _Flight) -> _Flight:
        self._in_flight[key] = flight
        flight.task = asyncio.create_task(self._run(key, flight), context=flight.context)
        return flight

    async def _run(self, key: Hashable, flight: _Flight) -> None:
        try:
            flight.finish(await flight.query(flight.mark_sent))
        except BaseException as error:
            # Also when the task is cancelled: its waiters must not wait for ever.
            flight.finish(None, error)
            if not isinstance(error, Exception):
                raise
        finally:
            del self._in_flight[key]
            if flight.next and flight.next.is_wanted:
                self._start(key, flight.next)
