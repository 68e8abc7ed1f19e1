"""A database server that a test takes away and gives back, and callers of a `gateway serve`."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
"""Seconds until a caller has an answer, and until all is well again.

Some times what the contract says, for slow machines; and less than a call's own deadline.
"""

# The tables are in the schema that is named after the role that made them.
PREPARE = """
create role app login superuser;
alter role app set search_path = gateway, public;
"""
REFUSE = """
alter role app nologin;
select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'app';
"""


class Database:
    """A server of a test's own. The gateway signs in as `app`, which the server may refuse."""

    def __init__(self, folder: Path, filled: Path) -> None:
        shutil.copytree(filled / "postgres", folder / "postgres")
        self.log = folder / "postgres.log"
        self.gone = ""
        self._cluster = Cluster(folder, options={"fsync": "off"})
        self._cluster.start()
        self.url = self._cluster.url()
        self.app_url = self.url.replace("//gateway@", "//app@")

    def run(self, sql: str, *args: object) -> Any:
        return asyncio.run(execute(self.url, sql, *args))

    def take(self, how: str) -> None:
        self.gone = how
        if how == "refusing":
            for statement in REFUSE.strip().splitlines():
                self.run(statement)
        else:
            self._signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)

    def give_back(self) -> None:
        """Return when it takes connections again."""
        how, self.gone = self.gone, ""
        if how == "refusing":
            self.run("alter role app login")
        elif how == "frozen":
            self._signal(signal.SIGCONT)
        elif how == "killed":
            self._cluster.stop()
            self._cluster.start()
            assert self._cluster.url() == self.url

    def end(self) -> None:
        if self.gone == "frozen":
            self.give_back()
        self._cluster.stop()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the server and all its processes, which are in sessions of their own."""
        process = self._cluster._process
        assert process is not None
        for one in [process.pid, *children_of(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)


def fill(folder: Path) -> dict[str, str]:
    """Make a cluster's data with the demo in it; answer the demo's tokens."""

    async def prepare(url: str) -> dict[str, str]:
        await migrated(url)
        tokens: dict[str, str] = await on(url, lambda db: demo.fill(db, {}))
        for desired in check(ROOT / "routes.yaml"):
            await applied(url, desired)
        await on(url, lambda db: db.execute(PREPARE))
        return tokens

    with Cluster(folder, options={"fsync": "off"}) as cluster:
        return asyncio.run(prepare(cluster.url()))


def serving(folder: Path, database_url: str, *args: str) -> Any:
    return running("serve", *args, cwd=folder, GATEWAY_DATABASE_URL=database_url)


def workers_of(command: Running, count: int) -> set[int]:
    """The processes that serve: the command itself, or those that it supervises."""
    if count == 1:
        return {command.process.pid}
    wait_until(lambda: len(children_of(command.process.pid)) == count)
    return children_of(command.process.pid)


@contextlib.contextmanager
def alone(worker: int, workers: set[int]) -> Iterator[None]:
    """Hold all workers but one, which then has every request, for the length of the block."""
    others = workers - {worker}
    try:
        for other in others:
            os.kill(other, signal.SIGSTOP)
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def stage(token: str | None, **params: Any) -> dict[str, Any]:
    """What creates an order stage; None leaves a param out."""
    least = {"token": token, "order_id": 7, "update_status": True, "stage": "scheduled"}
    return {name: value for name, value in {**least, **params}.items() if value is not None}


async def _ask_all(url: str, requests: Sequence[dict[str, Any]]) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT, limits=limits) as http:
        return await asyncio.gather(
            *(http.request(**{"method": "POST", "url": CREATE, **request}) for request in requests)
        )


def ask(url: str, *requests: dict[str, Any]) -> list[httpx2.Response]:
    """Call routes at once, each on a connection of its own; each must be answered in time."""
    answers = asyncio.run(_ask_all(url, requests))
    for answer in answers:
        unavailable = answer.json().get("status") == "service-unavailable"
        assert ("retry-after" in answer.headers) == unavailable == (answer.status_code == 503)
    return answers


def slugs(url: str, *requests: dict[str, Any]) -> list[str]:
    return [answer.json()["status"] for answer in ask(url, *requests)]


def revisions(url: str, times: int) -> set[int]:
    """The revisions that so many connections meet."""
    answers = ask(url, *[{"method": "GET", "url": NOTHING}] * times)
    return {int(answer.headers["x-registry-revision"]) for answer in answers}


def reports(url: str, times: int = 1) -> list[dict[str, Any]]:
    """What `/-/ready` says on so many connections; empty where nobody answers yet."""
    try:
        answers = asyncio.run(_ask_all(url, [{"method": "GET", "url": "/-/ready"}] * times))
    except (httpx2.NetworkError, httpx2.TimeoutException):
        return []
    return [{"code": answer.status_code, **answer.json()} for answer in answers]


def is_well(url: str, times: int = 1) -> bool:
    found = reports(url, times)
    return bool(found) and all(one["code"] == 200 and not one["degraded"] for one in found)


TROUBLES = ["the database cannot be used", "the database does not answer"]


def is_degraded(url: str, times: int = 1) -> bool:
    """Whether every worker serves on, and says that it can neither follow nor ask."""
    return all(
        one["code"] == 200 and one["degraded"] and one["trouble"] == TROUBLES
        for one in reports(url, times)
    )


def within(seconds: float) -> Callable[[Callable[[], Any]], None]:
    """A `wait_until` whose calls have so many seconds together."""
    deadline = time.monotonic() + seconds
    return lambda holds: wait_until(holds, deadline - time.monotonic())
