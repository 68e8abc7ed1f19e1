"""Watches the event loop: how late it is, what blocks it, and whether descriptors are left.

A service that computes or sleeps without `await` stops every request of its worker. A thread sees
that the loop does not move, and looks at the stack of the loop's thread: that costs a request
nothing, and names the line that blocks.
"""

import asyncio
import os
import sys
import threading
import time
from types import FrameType
from typing import NamedTuple

from gateway.registry.records import Route
from gateway.runtime import events

TICK = 0.05
BLOCK_LIMIT = 0.2
"""Seconds without a turn of the loop after which what it runs is logged."""

DESCRIPTOR_INTERVAL = 1.0
LOG_INTERVAL = 60.0
"""Seconds between two checks for free descriptors, and between two log lines about them."""


class _Block(NamedTuple):
    """What the loop ran when it was found to be blocked."""

    route: str | None
    action: str | None
    place: str


class LoopWatch:
    """Measures the event loop of one worker while `run` runs."""

    def __init__(self) -> None:
        self.out_of_descriptors = 0
        self._max_lag = 0.0
        self._tick = 0.0
        self._log_descriptors_at = 0.0

    def take_lag(self) -> float:
        """The longest delay of the loop, in seconds, since the last call."""
        lag, self._max_lag = self._max_lag, 0.0
        return lag

    async def run(self) -> None:
        """Watch until cancelled."""
        stop = threading.Event()
        self._tick = time.monotonic()
        arguments = threading.get_ident(), stop
        threading.Thread(target=self._watch, args=arguments, name="loop", daemon=True).start()
        check_at = 0.0
        try:
            while True:
                await asyncio.sleep(TICK)
                now = time.monotonic()
                self._max_lag = max(self._max_lag, now - self._tick - TICK)
                self._tick = now
                if now >= check_at:
                    check_at = now + DESCRIPTOR_INTERVAL
                    self._check_descriptors(now)
        finally:
            stop.set()

    def _check_descriptors(self, now: float) -> None:
        """Count and log that no descriptor is left: libuv drops new connections without a word."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            self.out_of_descriptors += 1
            if now >= self._log_descriptors_at:
                self._log_descriptors_at = now + LOG_INTERVAL
                events.emit(events.WORKER_OUT_OF_DESCRIPTORS, reason=str(error))

    def _watch(self, loop_thread: int, stop: threading.Event) -> None:
        """Log each block of the loop when it ends."""
        block: _Block | None = None
        blocked_at = 0.0
        before, cpu_before = time.monotonic(), time.process_time()
        while not stop.wait(BLOCK_LIMIT / 2):
            now, cpu = time.monotonic(), time.process_time()
            is_fair = _is_fair(now - before, cpu - cpu_before)
            before, cpu_before = now, cpu
            if block and self._tick != blocked_at:
                _log(block, self._tick - blocked_at)
                block = None
            if block is None and is_fair and now - self._tick > BLOCK_LIMIT + TICK:
                blocked_at = self._tick
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 - the only way
                block = _look(frame) if frame else None
                del frame


def _is_fair(elapsed: float, cpu: float) -> bool:
    """Whether this process could run, so that a late loop is its own fault.

    A watcher that is late itself was stopped with the whole process, or the machine is busy; but
    code that never lets other threads run makes it late too, and uses the processor meanwhile.
    """
    return elapsed < BLOCK_LIMIT or cpu > elapsed / 2


def _look(frame: FrameType) -> _Block | None:
    """The innermost place on a stack, and the route whose action is on it."""
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    current: FrameType | None = frame
    while current:
        route = _route(current)
        if route:
            return _Block(route=route.name, action=route.handler, place=place)
        current = current.f_back
    return _Block(route=None, action=None, place=place)


def _route(frame: FrameType) -> Route | None:
    """The route of a call, or of the calls of a batch, that a frame of the gateway handles."""
    names = frame.f_code.co_varnames
    if not frame.f_code.co_filename.startswith(_GATEWAY):
        return None
    if "call" in names:
        return getattr(frame.f_locals.get("call"), "route", None)
    if "calls" in names:
        return getattr((frame.f_locals.get("calls") or [None])[0], "route", None)
    return None


def _log(block: _Block, seconds: float) -> None:
    events.emit(
        events.WORKER_LOOP_BLOCKED,
        route=block.route,
        action=block.action,
        place=block.place,
        ms=round(seconds * 1000),
    )


_GATEWAY = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - as the frames have it
