"""A database server that a test takes away and restores, and callers of `gateway serve`."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from gateway.dev import demo
from gateway.dev.postgres import Cluster
from gateway.manifest.check import check
from support.command import Running, children_of, running, wait_until
from support.harness import ROOT, execute, on
from support.manifests import applied, migrated

CREATE = "/api/v1/order_stages/create"
NOTHING = "/api/v1/nothing"

ANSWER_TIMEOUT = 6.0
RECOVERY_TIMEOUT = 20.0
"""Seconds until a caller has an answer, and until the gateway is healthy again.

Several times what the contract says, for slow machines, but less than the deadline of a call.
"""

PREPARE = "create role app login superuser"
REFUSE = """
alter role app nologin;
select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'app';
"""


class Database:
    """A server for one test; the gateway logs in as `app`, which the server may refuse."""

    def __init__(self, folder: Path, filled: Path) -> None:
        shutil.copytree(filled / "postgres", folder / "postgres")
        self.log = folder / "postgres.log"
        self.outage = ""
        self._cluster = Cluster(folder, options={"fsync": "off"})
        self._cluster.start()
        self.url = self._cluster.url()
        self.app_url = self.url.replace("//gateway@", "//app@")

    def run(self, sql: str, *args: object) -> Any:
        return asyncio.run(execute(self.url, sql, *args))

    def take_away(self, how: str) -> None:
        """Begin an outage; `how` is `killed`, `frozen` or `refusing`."""
        self.outage = how
        if how == "refusing":
            for statement in REFUSE.strip().splitlines():
                self.run(statement)
        else:
            self._signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)

    def restore(self) -> None:
        """End the outage; return when the server accepts connections again."""
        how, self.outage = self.outage, ""
        if how == "refusing":
            self.run("alter role app login")
        elif how == "frozen":
            self._signal(signal.SIGCONT)
        elif how == "killed":
            self._cluster.stop()
            self._cluster.start()
            assert self._cluster.url() == self.url

    def end(self) -> None:
        if self.outage == "frozen":
            self.restore()
        self._cluster.stop()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the server and all its children; each of them has its own session."""
        process = self._cluster._process
        assert process is not None
        for pid in [process.pid, *children_of(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class FilledCluster(NamedTuple):
    """The data of a stopped cluster with the demo, and the demo's tokens."""

    folder: Path
    tokens: dict[str, str]


def fill(folder: Path) -> FilledCluster:
    """Create the data of a cluster with the demo."""

    async def prepare(url: str) -> dict[str, str]:
        await migrated(url)
        for desired in check(ROOT / "routes.yaml"):
            await applied(url, desired)
        tokens: dict[str, str] = await on(url, lambda db: demo.fill(db, {}))
        await on(url, lambda db: db.execute(PREPARE))
        return tokens

    with Cluster(folder, options={"fsync": "off"}) as cluster:
        return FilledCluster(folder, asyncio.run(prepare(cluster.url())))


def serving(folder: Path, database_url: str, *args: str) -> Any:
    return running("serve", *args, cwd=folder, GATEWAY_DATABASE_URL=database_url)


def workers_of(command: Running, count: int) -> set[int]:
    """The serving processes: the command itself, or the workers that it supervises."""
    if count == 1:
        return {command.process.pid}
    wait_until(lambda: len(children_of(command.process.pid)) == count)
    return children_of(command.process.pid)


@contextlib.contextmanager
def only_worker(worker: int, workers: set[int]) -> Iterator[None]:
    """Pause all workers except one, which gets every request, for the length of the block."""
    others = workers - {worker}
    try:
        for other in others:
            os.kill(other, signal.SIGSTOP)
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def stage(token: str | None, **params: Any) -> dict[str, Any]:
    """The params that create an order stage; None leaves a param out."""
    required = {"token": token, "order_id": 7, "update_status": True, "stage": "scheduled"}
    return {name: value for name, value in {**required, **params}.items() if value is not None}


async def _ask_all(url: str, requests: Sequence[dict[str, Any]]) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT, limits=limits) as http:
        return await asyncio.gather(
            *(http.request(**{"method": "POST", "url": CREATE, **request}) for request in requests)
        )


def ask(url: str, *requests: dict[str, Any]) -> list[httpx2.Response]:
    """Send requests at the same time, each on a new connection; each must be answered in time."""
    answers = asyncio.run(_ask_all(url, requests))
    for answer in answers:
        unavailable = answer.json().get("status") == "service-unavailable"
        assert ("retry-after" in answer.headers) == unavailable == (answer.status_code == 503)
    return answers


def slugs(url: str, *requests: dict[str, Any]) -> list[str]:
    return [answer.json()["status"] for answer in ask(url, *requests)]


def revisions(url: str, times: int) -> set[int]:
    """The revisions that serve a number of new connections."""
    answers = ask(url, *[{"method": "GET", "url": NOTHING}] * times)
    return {int(answer.headers["x-registry-revision"]) for answer in answers}


def readiness(url: str, times: int = 1) -> list[dict[str, Any]]:
    """The answers of `/-/ready` on a number of connections; empty until the server answers."""
    try:
        answers = asyncio.run(_ask_all(url, [{"method": "GET", "url": "/-/ready"}] * times))
    except (httpx2.NetworkError, httpx2.TimeoutException):
        return []
    return [{"code": answer.status_code, **answer.json()} for answer in answers]


def is_healthy(url: str, times: int = 1) -> bool:
    answers = readiness(url, times)
    return bool(answers) and all(
        answer["code"] == 200 and not answer["degraded"] for answer in answers
    )


PROBLEMS = ["the database cannot be used", "the database does not answer"]


def is_degraded(url: str, times: int = 1) -> bool:
    """Whether every worker still serves, and reports that it can neither follow nor query."""
    return all(
        answer["code"] == 200 and answer["degraded"] and answer["trouble"] == PROBLEMS
        for answer in readiness(url, times)
    )


def within(seconds: float) -> Callable[[Callable[[], Any]], None]:
    """A `wait_until` whose calls share a limit of seconds."""
    deadline = time.monotonic() + seconds
    return lambda holds: wait_until(holds, deadline - time.monotonic())
