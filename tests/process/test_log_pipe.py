"""Standard error that is not read, or that takes nothing, stops neither worker nor supervisor."""

import contextlib
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import httpx2
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.command import PATIENCE, Gateway, children_of, wait_until

DROPPED = "gateway_log_lines_dropped_total"
LONG = "x" * 200


class Pipe:
    """A pipe for standard error; it is read only once `read` is called."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._lines: list[bytes] = []

    def fill(self) -> None:
        """Write until no byte fits any more."""
        flags = fcntl.fcntl(self.writer, fcntl.F_GETFL)
        fcntl.fcntl(self.writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        for size in 4096, 1:
            with contextlib.suppress(BlockingIOError):
                while os.write(self.writer, b"\n" * size):
                    pass
        # The gateway gets it as a shell would pass it on.
        fcntl.fcntl(self.writer, fcntl.F_SETFL, flags)

    def read(self) -> None:
        """Read all lines from now on, in a thread, until no process has the other end."""
        os.close(self.writer)

        def collect() -> None:
            with open(self._reader, "rb") as file:  # noqa: PTH123 - a descriptor
                self._lines.extend(file)

        self._thread = threading.Thread(target=collect)
        self._thread.start()

    def lines(self) -> list[dict[str, object]]:
        """All lines of JSON; waits for the end of the pipe."""
        self._thread.join(PATIENCE)
        return [orjson.loads(line) for line in self._lines if line.startswith(b"{")]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@contextlib.contextmanager
def serving(folder: Path, database: str, err: int | BinaryIO, *args: str) -> Iterator[Gateway]:
    """A gateway that answers, with its standard error at `err`."""
    with Gateway.started(folder, database, err, *args) as gateway:
        wait_until(gateway.is_ready)
        yield gateway


def send(gateway: Gateway, count: int) -> None:
    """Send requests whose access lines are long, over one connection."""
    head = f"GET /{LONG} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {LONG[:64]}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        reader = client.makefile("rb")
        for _ in range(count):
            client.sendall(head)
            read_answer(reader)


def read_answer(reader: BinaryIO) -> None:
    length = 0
    while (line := reader.readline()) != b"\r\n":
        assert line, "the connection was closed"
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    reader.read(length)


def dropped(gateway: Gateway) -> float:
    text = httpx2.get(f"{gateway.admin}/-/metrics", timeout=PATIENCE).text
    families = text_string_to_metric_families(text)
    return sum(s.value for family in families for s in family.samples if s.name == DROPPED)


def test_log_that_is_not_read_is_dropped_and_counted_while_requests_are_answered(
    database: str, tmp_path: Path, pipe: Pipe
) -> None:
    count = 4000
    with serving(tmp_path, database, pipe.writer) as gateway:
        send(gateway, count)
        assert gateway.is_ready()
        wait_until(lambda: dropped(gateway) > 0)
        lost = dropped(gateway)
        pipe.read()
        # The line comes as soon as the log is read again, not when the gateway ends.
        wait_until(lambda: any(b"log.dropped" in line for line in pipe._lines))
        send(gateway, 1)
        assert gateway.end() == 0
    lines = pipe.lines()
    [report] = [line for line in lines if line["event"] == "log.dropped"]
    assert report["lines"] == lost
    requests = [line for line in lines if line.get("path") == f"/{LONG}"[:200]]
    assert len(requests) + lost == count + 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_log_that_is_full_at_the_start_delays_neither_start_nor_end(
    database: str, tmp_path: Path, pipe: Pipe, workers: str
) -> None:
    pipe.fill()
    with serving(tmp_path, database, pipe.writer, "--workers", workers) as gateway:
        assert gateway.end() == 0


def test_log_on_a_full_disk_does_not_end_the_gateway(database: str, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, serving(tmp_path, database, full) as gateway:
        send(gateway, 10)
        wait_until(lambda: dropped(gateway) >= 10)
        assert gateway.end() == 0


def test_supervisor_whose_log_is_not_read_replaces_a_dead_worker(
    database: str, tmp_path: Path, pipe: Pipe
) -> None:
    pipe.fill()
    with serving(tmp_path, database, pipe.writer, "--workers", "2") as gateway:
        for _ in range(3):
            workers = children_of(gateway.process.pid)
            os.kill(min(workers), signal.SIGKILL)
            wait_until(lambda: len(children_of(gateway.process.pid) - workers) == 1)  # noqa: B023
        wait_until(gateway.is_ready)
        assert gateway.end() == 0
