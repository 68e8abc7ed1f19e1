"""Ends a call to a service as soon as its client leaves."""

import asyncio
from types import TracebackType
from typing import Self

from gateway.upstreams.call import Call
from gateway.values import ClientDisconnectedError


class Departure:
    """Ends the block with ClientDisconnectedError if the client disconnects."""

    __slots__ = ("_call", "_cancelling", "_has_left", "_task")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._has_left = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call needs a task that can be cancelled")
        self._task = task
        self._cancelling = task.cancelling()
        self._call.on_disconnect(self._leave)
        return self

    def _leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._call.on_disconnect(None)
        if self._has_left:
            # Another cancellation in the meantime, such as the stop of the worker, wins.
            is_only_reason = self._task.uncancel() <= self._cancelling
            if is_only_reason and kind is asyncio.CancelledError:
                raise ClientDisconnectedError
