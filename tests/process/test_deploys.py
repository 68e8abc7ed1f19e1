"""A stopping gateway loses no call of a keep-alive client, alone and in ten rolling deploys."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import httpx2
import pytest
from support.command import PATIENCE, Gateway, is_refused, wait_until
from support.harness import until

DEPLOYS = 10
CALLERS = 16
PAUSE = 0.05
"""Seconds between two calls of a caller: about 70 % of what two instances answer here."""

POLL = 0.1
HEAD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def serving(folder: Path, database: str, delay: str, **changes: str) -> Iterator[Gateway]:
    settings = {"GATEWAY_DRAIN_DELAY": delay, **changes}
    with (
        (folder / "err").open("ab") as err,
        Gateway.started(folder, database, err, **settings) as gateway,
    ):
        wait_until(gateway.is_ready)
        yield gateway


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._reader: BinaryIO = self._socket.makefile("rb")

    def call(self) -> bytes:
        """Send a request; return the head of its answer, in lower case, empty if it was lost."""
        self._socket.sendall(HEAD)
        head = b""
        while (line := self._reader.readline()) not in {b"\r\n", b""}:
            head += line.lower()
        if head:
            length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
            self._reader.read(int(length))
        return head

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def is_at_end(self) -> bool:
        """Whether the gateway has closed the connection; waits for it."""
        return self._reader.read(1) == b""


Connect: TypeAlias = Callable[[Gateway], Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections, which are closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def open_client(gateway: Gateway) -> Client:
            client = Client(gateway.port)
            stack.callback(client.close)
            return client

        yield open_client


def test_answer_while_draining_closes_its_connection(
    database: str, tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path, database, "600") as gateway:
        clients = [connect(gateway) for _ in range(2)]
        assert all(b"connection: close" not in client.call() for client in clients)
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not gateway.is_ready())
        for client in (*clients, connect(gateway)):
            assert b"connection: close" in client.call()
            assert client.is_at_end()


def test_idle_connection_of_a_stopping_gateway_gets_its_next_answer(
    database: str, tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path, database, "0") as gateway:
        client, unused, silent = (connect(gateway) for _ in range(3))
        client.call()
        silent.call()
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(gateway.port))
        assert b"connection: close" in client.call()
        assert b"connection: close" in unused.call()
        assert silent.is_at_end(), "it is closed when its time without a request is over"
        assert gateway.process.wait(PATIENCE) == 0


def test_keep_alive_is_a_setting_and_a_stop_does_not_wait_for_it(
    database: str, tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path, database, "0", GATEWAY_KEEP_ALIVE="0.5") as gateway:
        client = connect(gateway)
        client.call()
        assert client.is_at_end()
    with serving(tmp_path, database, "0", GATEWAY_KEEP_ALIVE="600") as gateway:
        client = connect(gateway)
        client.call()
        gateway.process.send_signal(signal.SIGTERM)
        assert client.is_at_end()
        assert gateway.process.wait(PATIENCE) == 0


def test_interrupt_closes_idle_connections_at_once(
    database: str, tmp_path: Path, connect: Connect
) -> None:
    with serving(tmp_path, database, "0") as gateway:
        client = connect(gateway)
        client.call()
        gateway.process.send_signal(signal.SIGINT)
        assert client.is_at_end()
        assert gateway.process.wait(PATIENCE) == 0


class Balancer:
    """Callers that choose among the instances that were ready when last asked."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self.instances: list[Gateway] = []
        self.ready: list[Gateway] = []
        self.answered = 0
        self.lost: list[Exception] = []

    def is_ready(self, gateway: Gateway) -> bool:
        return gateway in self.ready

    async def poll(self) -> None:
        while True:
            instances = [*self.instances]
            answers = await asyncio.gather(*map(self._is_ready, instances))
            self.ready = [one for one, ready in zip(instances, answers, strict=True) if ready]
            await asyncio.sleep(POLL)

    async def _is_ready(self, gateway: Gateway) -> bool:
        try:
            return (await self._http.get(f"{gateway.url}/-/ready")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def call(self, number: int) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            if not self.ready:
                continue
            self.answered += 1
            gateway = self.ready[(number + self.answered) % len(self.ready)]
            try:
                await self._http.get(f"{gateway.url}/nowhere")
            except httpx2.HTTPError as error:
                self.lost.append(error)


@contextlib.asynccontextmanager
async def calling() -> AsyncIterator[Balancer]:
    """Call for the length of the block."""
    async with httpx2.AsyncClient(timeout=PATIENCE) as http, asyncio.TaskGroup() as group:
        balancer = Balancer(http)
        works = [balancer.poll(), *(balancer.call(number) for number in range(CALLERS))]
        tasks = [group.create_task(work) for work in works]
        yield balancer
        for task in tasks:
            task.cancel()


@pytest.mark.timeout(300)
async def test_ten_rolling_deploys_lose_no_call(database: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        async with calling() as balancer:
            for _ in range(DEPLOYS + 2):
                entered = stack.enter_context
                new = await asyncio.to_thread(entered, serving(tmp_path, database, "1"))
                balancer.instances.append(new)
                await until(partial(balancer.is_ready, new), PATIENCE)
                if len(balancer.instances) > 2:
                    old = balancer.instances[0]
                    assert await asyncio.to_thread(old.end) == 0
                    balancer.instances.remove(old)
    assert balancer.lost == []
    assert balancer.answered > 10 * DEPLOYS
