"""Standard error that never blocks its writers: a thread writes, from a bounded buffer.

A pipe that is not read, a frozen terminal or a log shipper that hangs blocks a write, maybe
forever. Here it blocks a thread of its own; what does not fit into the buffer is dropped and
counted.
"""

import atexit
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

BUFFER_SIZE = 1024 * 1024
"""Bytes that wait to be written: some thousand access lines."""

FLUSH_TIMEOUT = 1.0
"""Seconds that the end of the process waits for the buffer to be written."""

Report = Callable[[int], bytes]
"""The line that says how many lines were dropped."""


class LogThread:
    """Writes to a descriptor from a thread; `dropped` counts the lines that were lost.

    Any thread may write, and so may a signal handler: the queue and the lock are reentrant.
    """

    def __init__(self, descriptor: int, report: Report, size: int = BUFFER_SIZE) -> None:
        self.dropped = 0
        self._reported = 0
        self._descriptor = descriptor
        self._report = report
        self._size = size
        self._waiting = 0
        self._lock = threading.RLock()
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, lines: bytes) -> None:
        """Have whole lines written, or count them as dropped; it never waits for the reader."""
        with self._lock:
            if self._waiting + len(lines) > self._size:
                self._drop(lines)
                return
            self._waiting += len(lines)
        self._queue.put(lines)

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> None:
        """Wait until all is written that waits now, at most `timeout` seconds."""
        reached = threading.Event()
        self._queue.put(reached)
        reached.wait(timeout)

    def _drop(self, lines: bytes) -> None:
        with self._lock:
            self.dropped += lines.count(b"\n")

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._write_all(item)
            except OSError:
                # The reader is gone or the disk is full, and that cannot be logged.
                self._drop(item)
            else:
                self._report_dropped()
            with self._lock:
                self._waiting -= len(item)

    def _report_dropped(self) -> None:
        """Say how many lines are missing here, now that the log takes lines again."""
        dropped = self.dropped
        if dropped == self._reported:
            return
        try:
            self._write_all(self._report(dropped - self._reported))
        except OSError:
            return  # said after the next line that can be written
        self._reported = dropped

    def _write_all(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            piece = rest[: _piece_size(lines, len(lines) - len(rest))]
            try:
                rest = rest[os.write(self._descriptor, piece) :]
            except BlockingIOError:
                # Another process has made the shared terminal or pipe non-blocking.
                select.select([], [self._descriptor], [])


def _piece_size(lines: bytes, start: int) -> int:
    """The number of bytes to write next, at `start`: whole lines that a pipe takes in one piece.

    The workers share a pipe. It may take a longer write in parts, with lines of another worker
    between them, and a worker that is killed leaves a part behind.
    """
    end = lines.rfind(b"\n", start, start + select.PIPE_BUF)
    # A longer line has to be written too.
    end = lines.find(b"\n", start) if end < 0 else end
    return (len(lines) if end < 0 else end + 1) - start


class _Raw(io.RawIOBase):
    """The lowest part of a text stream: passes bytes to the thread."""

    def __init__(self, thread: LogThread, descriptor: int) -> None:
        self._thread = thread
        self._descriptor = descriptor

    def writable(self) -> bool:
        """True: the stream is for writing."""
        return True

    def fileno(self) -> int:
        """The descriptor that the thread writes to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override] # any buffer
        """Have the bytes written; they always count as taken."""
        self._thread.write(bytes(data))
        return len(data)


_threads: list[LogThread] = []


def install(report: Report) -> None:
    """Put a stream that never blocks in the place of `sys.stderr`, for the rest of the process.

    So the log, messages for the operator, warnings and tracebacks all stop blocking.
    """
    if _threads:
        return
    descriptor = sys.stderr.fileno()
    thread = LogThread(descriptor, report)
    _threads.append(thread)
    # Straight on the raw part: a buffer in between would cut large writes within lines.
    raw: Any = _Raw(thread, descriptor)
    sys.stderr = io.TextIOWrapper(
        raw, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    # Before the interpreter takes its daemon threads away.
    atexit.register(thread.flush)


def dropped_lines() -> int:
    """The lines of this process's log that were dropped."""
    return sum(thread.dropped for thread in _threads)
