"""The thread that writes the log: lines of several processes on one pipe stay whole."""

import os
import threading

from gateway.runtime.log_thread import LogThread

WRITERS = 2
BATCHES = 20
LINE = b"%d" + b"x" * 300 + b"\n"


def lines_of(*writes: bytes) -> list[bytes]:
    """The lines that arrive if each of `writes` is written by a separate thread."""
    reader, writer = os.pipe()
    threads = [LogThread(writer, lambda _: b"dropped\n", size=10**9) for _ in writes]

    def write_and_close() -> None:
        for thread, lines in zip(threads, writes, strict=True):
            for _ in range(BATCHES):
                thread.write(lines)
        for thread in threads:
            thread.flush(60)
        os.close(writer)

    closer = threading.Thread(target=write_and_close)
    closer.start()
    with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor
        lines = pipe.readlines()
    closer.join()
    return lines


def test_lines_of_two_writers_on_one_pipe_stay_whole() -> None:
    # Each batch is larger than the pipe, which takes it in parts.
    batches = [LINE % number * 500 for number in range(WRITERS)]
    lines = lines_of(*batches)
    assert sorted(set(lines)) == [LINE % number for number in range(WRITERS)]
    assert len(lines) == WRITERS * BATCHES * 500


def test_line_that_is_longer_than_a_pipe_takes_at_once_is_written() -> None:
    long, short = b"y" * 100_000 + b"\n", b"z\n"
    assert lines_of(short + long + short) == [short, long, short] * BATCHES
    assert lines_of(b"without an end")[-1] == b"without an end" * BATCHES
