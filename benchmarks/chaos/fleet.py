"""The gateway of a run: one instance of `gateway serve`, killed, replaced and deployed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from bench.processes import children_of, is_running

from chaos.connection import Connection, LostError, request
from chaos.plan import Step
from chaos.record import Record

WORKERS = 2
START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
HEALTHY_TIMEOUT = 60.0
POLL_INTERVAL = 0.05
READY = request("GET", "/-/ready")
CHECKS = 16
"""Connections that ask for readiness at once, so that each worker gets some."""


class GatewayError(Exception):
    """The gateway did not do something in time; the text says what."""


class Log:
    """Reads the standard error of all instances, and writes it to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.may_read = threading.Event()
        self.may_read.set()
        self.wrong_lines: list[str] = []
        """Lines that no fault explains: traces of a crash, and text that is not complete JSON."""

    def follow(self, descriptor: int) -> None:
        """Read from a pipe, in a thread, until no process has its other end."""
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def _read(self, descriptor: int) -> None:
        with open(descriptor, "rb") as pipe, self._file.open("ab") as file:
            for line in self._lines(pipe):
                file.write(line)
                file.flush()
                self._note(line)

    def _lines(self, pipe: BinaryIO) -> Any:
        while line := pipe.readline():
            yield line
            self.may_read.wait()

    def _note(self, line: bytes) -> None:
        """Keep a line with a trace, and one that is incomplete."""
        if line.startswith(b"{"):
            try:
                is_wrong = "trace" in orjson.loads(line)
            except orjson.JSONDecodeError:
                is_wrong = True
        else:
            is_wrong = not line.startswith(b"serving on ")
        if is_wrong:
            self.wrong_lines.append(line.decode(errors="replace").rstrip())


class Instance:
    """One `gateway serve` with its workers."""

    def __init__(self, settings: Mapping[str, str], port: int, log: Log) -> None:
        self.port = port
        reader, writer = os.pipe()
        log.follow(reader)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--workers", str(WORKERS)],
            env={**settings, "GATEWAY_PORT": str(port), "GATEWAY_ADMIN_PORT": "0"},
            stderr=writer,
            start_new_session=True,
        )
        os.close(writer)

    async def workers(self) -> list[int]:
        """The processes of its workers."""
        return await asyncio.to_thread(children_of, self.process.pid)

    async def readiness(self) -> list[dict[str, Any]]:
        """What `/-/ready` says on several new connections; those without an answer say `{}`."""
        return await asyncio.gather(*(self._ask() for _ in range(CHECKS)))

    async def _ask(self) -> dict[str, Any]:
        connection = Connection(lambda: self.port)
        try:
            answer = await connection.ask(READY)
        except LostError:
            return {}
        finally:
            connection.close()
        report: dict[str, Any] = orjson.loads(answer.body)
        return report


class Fleet:
    """The instance that serves now; new connections go to its `port`."""

    def __init__(self, settings: Mapping[str, str], log: Log, record: Record) -> None:
        self._settings = settings
        self.record = record
        self.log = log
        self.pids: set[int] = set()
        """Every process that has ever served."""

    @property
    def port(self) -> int:
        """The port for new connections."""
        return self.current.port

    async def start(self) -> None:
        """Start an instance and wait until it is ready."""
        self.current = await self._start(_free_port())

    async def kill_worker(self, step: Step) -> None:
        """Kill one worker; return when it is replaced."""
        victim = await self._victim(step)
        with self.record.killing("worker"):
            os.kill(victim, signal.SIGKILL)
            await _wait_until(partial(_has_ended, victim), "a killed worker did not end")
        await _wait_until(self._has_all_workers, "a killed worker was not replaced")
        self.pids |= {*await self.current.workers()}

    async def freeze_worker(self, step: Step) -> None:
        """Stop one worker for a while, with its transactions and connections open."""
        victim = await self._victim(step)
        os.kill(victim, signal.SIGSTOP)
        try:
            await asyncio.sleep(step.seconds)
        finally:
            os.kill(victim, signal.SIGCONT)

    async def kill_supervisor(self, _: Step) -> None:
        """Kill the supervisor, wait until its workers have ended, and start a new instance."""
        old = self.current
        with self.record.killing("supervisor"):
            old.process.kill()
            await asyncio.to_thread(old.process.wait)
            await _wait_until(lambda: _refuses(old.port), "workers outlived their supervisor")
            self.current = await self._start(old.port)

    async def deploy(self, number: signal.Signals) -> None:
        """Start a new instance, and stop the old one when the new one is ready."""
        old, self.current = self.current, await self._start(_free_port())
        old.process.send_signal(number)
        exit_code = await asyncio.to_thread(_wait_for_end, old.process)
        if exit_code != 0:
            self.record.problems.append(f"a stopped instance ended with {exit_code}")

    async def leave_log(self, step: Step) -> None:
        """Stop reading the log for a while."""
        self.log.may_read.clear()
        try:
            await asyncio.sleep(step.seconds)
        finally:
            self.log.may_read.set()

    async def wait_until_healthy(self) -> None:
        """Wait until no worker is degraded. Raises GatewayError."""

        async def is_healthy() -> bool:
            reports = await self.current.readiness()
            return not any(report.get("degraded", True) for report in reports)

        await _wait_until(is_healthy, "the gateway stays degraded", HEALTHY_TIMEOUT)

    async def stop(self) -> None:
        """Stop the instance, and note what it leaves behind."""
        self.pids |= {*await self.current.workers()}
        self.current.process.terminate()
        exit_code = await asyncio.to_thread(_wait_for_end, self.current.process)
        if exit_code != 0:
            self.record.problems.append(f"the last instance ended with {exit_code}")
        if left := [pid for pid in self.pids if not _has_ended(pid)]:
            self.record.problems.append(f"processes that did not end: {left}")

    async def kill(self) -> None:
        """Kill all processes that still run, after a failed run; workers end with them."""
        for pid in self.pids:
            if not _has_ended(pid):
                os.kill(pid, signal.SIGKILL)

    async def _start(self, port: int) -> Instance:
        instance = Instance(self._settings, port, self.log)
        self.pids.add(instance.process.pid)

        async def is_ready() -> bool:
            if instance.process.poll() is not None:
                raise GatewayError(f"an instance ended with {instance.process.returncode}")
            return all(report.get("ready") for report in await instance.readiness())

        await _wait_until(is_ready, "an instance did not become ready", START_TIMEOUT)
        self.pids |= {*await instance.workers()}
        return instance

    async def _victim(self, step: Step) -> int:
        """The process of the worker that a step chooses."""
        await _wait_until(self._has_all_workers, "a worker is missing")
        workers = sorted(await self.current.workers())
        return workers[int(step.choice * len(workers))]

    async def _has_all_workers(self) -> bool:
        return len(await self.current.workers()) == WORKERS


async def _wait_until(
    holds: Callable[[], Awaitable[bool] | bool], problem: str, seconds: float = STOP_TIMEOUT
) -> None:
    """Wait until a condition holds. Raises GatewayError."""
    deadline = time.monotonic() + seconds
    while True:
        result = holds()
        if result if isinstance(result, bool) else await result:
            return
        if time.monotonic() > deadline:
            raise GatewayError(problem)
        await asyncio.sleep(POLL_INTERVAL)


def _wait_for_end(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that was told to stop; None if it did not."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(STOP_TIMEOUT)
    return None


def _has_ended(pid: int) -> bool:
    """Whether a process of the gateway has ended; its parent may not have noticed yet."""
    return not is_running(pid, "gateway serve")


def _refuses(port: int) -> bool:
    """Whether nothing listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
