"""What is measured: each workload sends the same requests to every server that can answer them."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from bench import load, many_routes
from bench import pgbench as statements
from bench.calls import SLOW_SECONDS, Requests
from bench.database import Database
from bench.load import LoadError, Run, Stream
from bench.machine import on_the_first_core, processor_seconds
from bench.results import Found, Measure, interleaved
from bench.targets import GATEWAY, PATHS, Target

ECHO_CONNECTIONS = 32
MIXED = (("create", 200.0), ("list", 200.0), ("refused", 100.0), ("log-in", 5.0))
STATUS = {"refused": 400}
SLOW = 8.0
"""Calls a second of the slow route; each keeps a connection for `SLOW_SECONDS`."""

SLOW_ON = ", slow route on"
OWN = "asyncpg, the gateway's statement"
SHARE = 0.5
"""The share of its saturation that a server is offered."""


@dataclass(slots=True)
class Bench:
    """What the workloads share."""

    database: Database
    targets: Mapping[str, Target]
    requests: Requests
    scripts: Mapping[str, Path]
    rounds: int
    seconds: float
    connections: int
    pgbench: str | None
    smoke: bool = False
    notes: list[str] = field(default_factory=list)

    def doing(self, what: str) -> list[Target]:
        """The servers that can do this."""
        return [target for target in self.targets.values() if what in target.does]

    def closed(self, target: Target, requests: str, connections: int) -> Run:
        """One run of a closed loop, with the server's processor time a request."""
        before = processor_seconds(target.pid)
        run, done = load.closed(target.port, self.requests[requests], connections, self.seconds)
        used = processor_seconds(target.pid) - before
        return replace(run, cpu=used / done * 1e6)

    def create(self, target: Target, connections: int) -> Run:
        """The same of creates: the database starts as it always does, and holds what was said."""
        self.database.reset()
        run = self.closed(target, "create", connections)
        if self.database.written() < run.rate * self.seconds * 0.99:
            raise LoadError(f"{target.name}: fewer rows than answers")
        return run


def noop(bench: Bench) -> Found:
    """A POST that does nothing."""
    found = Found(
        "noop",
        "A call that does nothing",
        f"POST of {bench.requests.body('echo')} bytes of JSON, {ECHO_CONNECTIONS} connections. "
        "The gateway looks up the token, checks roles, validates, logs and counts. FastAPI "
        "validates with pydantic, Fastify with ajv, Litestar with msgspec, and the others only "
        "echo; none looks at a token.",
    )
    measures: dict[str, Measure] = {
        target.name: _echo(bench, target) for target in bench.doing("echo")
    }
    found.rows = interleaved(measures, bench.rounds)
    what = "authenticated, validated no-op POST, logged and counted"
    found.compare(what, "Starlette echo", 1.2)
    found.compare(what, "raw uvicorn echo", 0.8)
    found.compare(what, "FastAPI", 4)
    return found


def _echo(bench: Bench, target: Target) -> Measure:
    return lambda: bench.closed(target, "echo", ECHO_CONNECTIONS)


def create(bench: Bench) -> Found:
    """Writes that commit."""
    found = Found(
        "create",
        "order_stages.create",
        f"{bench.connections} connections, 64 callers, 5,000 orders, each answer after its commit "
        "reached the disk. FastAPI with asyncpg's pool and Fastify with pg's look up the token, "
        "validate, and write both rows; they do not write when a session was last used, which the "
        "gateway does. pgbench sends the two statements alone, without HTTP, token or validation; "
        "its p50 is a mean.",
    )
    measures: dict[str, Measure] = {
        target.name: _create(bench, target, bench.connections) for target in bench.doing("create")
    }
    found.rows = interleaved({**measures, **_pgbench(bench)}, bench.rounds)
    what = f"`order_stages.create`, {bench.connections} connections, durable commit"
    found.compare(what, statements.TRANSACTION, 2.2)
    found.compare(what, statements.FUNCTION, 1.5)
    found.compare(what, "FastAPI", 6)
    found.compare(what, "Fastify", 4)
    return found


def _create(bench: Bench, target: Target, connections: int) -> Measure:
    return lambda: bench.create(target, connections)


def _pgbench(bench: Bench) -> dict[str, Measure]:
    """Each script with the number of clients with which it does most here."""
    if bench.pgbench is None:
        bench.notes.append("pgbench is left out: it is not installed.")
        return {}
    program, url, clients = bench.pgbench, bench.database.url, {}
    counts = statements.CLIENTS[: 1 if bench.smoke else None]
    for name, script in bench.scripts.items():
        bench.database.reset()
        clients[name] = statements.best(program, url, script, bench.seconds / 2, counts)
    said = ", ".join(f"{name.removeprefix('pgbench, ')}: {n}" for name, n in clients.items())
    bench.notes.append(f"pgbench does most with so many clients, and has them: {said}.")
    return {name: _pgbench_run(bench, program, name, clients[name]) for name in bench.scripts}


def _pgbench_run(bench: Bench, program: str, name: str, clients: int) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        script, url = bench.scripts[name], bench.database.url
        return statements.run(program, url, script, clients, bench.seconds)

    return measure


def distinct(bench: Bench) -> Found:
    """Lists that all differ."""
    found = Found(
        "list",
        "A list of 50 statuses, no two requests alike",
        f"{bench.connections} connections; each request filters by another time, and all "
        "fifty pass. The gateway asks the database for a hash of the page, and has its rows at "
        "hand for as long as they do not change.",
    )
    found.rows = interleaved(_lists(bench, "list"), bench.rounds)
    found.compare("list of 50 statuses, distinct requests", "FastAPI", 8)
    return found


def same(bench: Bench) -> Found:
    """Lists that are all alike."""
    found = Found(
        "same",
        "A list of 50 statuses, all requests alike",
        f"{bench.connections} connections with the same request and token: the best case for "
        "sharing a query among those who wait.",
    )
    found.rows = interleaved(_lists(bench, "same list"), bench.rounds)
    found.compare("list of 50 statuses, identical requests", "FastAPI", 25)
    return found


def _lists(bench: Bench, requests: str) -> dict[str, Measure]:
    def of(target: Target) -> Measure:
        return lambda: bench.closed(target, requests, bench.connections)

    return {target.name: of(target) for target in bench.doing("list")}


def lone(bench: Bench) -> Found:
    """One create at a time."""
    found = Found(
        "lone",
        "One create at a time",
        "One connection; beside it asyncpg on the servers' core with the statements alone, "
        "prepared: as the gateway's own statement, which also checks what is named and looks for "
        "mail, as one function, and as a transaction of four round trips.",
        bars="p50",
        ratio="gateway's p50 ×",
    )
    measures: dict[str, Measure] = {
        target.name: _create(bench, target, 1) for target in bench.doing("create")
    }
    measures[OWN] = lambda: direct(bench, "statement")
    measures["asyncpg, one function"] = lambda: direct(bench, "function")
    measures["asyncpg, one transaction"] = lambda: direct(bench, "transaction")
    found.rows = interleaved(measures, bench.rounds)
    for bare in (OWN, "asyncpg, one function"):
        found.compare("one call at a time: latency (p50)", bare, 1.5, column="p50", most=True)
    return found


def direct(bench: Bench, kind: str) -> Run:
    """The statements through asyncpg, without a server."""
    bench.database.reset()
    script = str(Path(__file__).with_name("asyncpg_floor.py"))
    command = [sys.executable, script, bench.database.url, kind, str(bench.seconds)]
    with on_the_first_core():
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, check=False
        )
    if done.returncode:
        raise LoadError(done.stderr.decode())
    return Run(**orjson.loads(done.stdout))


def steady(bench: Bench) -> Found:
    """Creates at half of what a server can do, and at half of what the slowest can."""
    found = Found(
        "steady",
        "Creates at a fixed rate",
        "Random arrivals, measured from when each was due; the client's own timer, about a "
        f"millisecond, is in every figure but pgbench's. The rates are {SHARE:.0%} of what each "
        "server does at saturation here, and the same share of the slowest. pgbench at the "
        "gateway's rate is what PostgreSQL and the disk are good for.",
        bars="p99",
        base=None,
    )
    servers = bench.doing("create")
    saturated = {each.name: _create(bench, each, bench.connections) for each in servers}
    most = {name: runs[0] for name, runs in interleaved(saturated, 1).items()}
    slowest = min(run.rate for run in most.values()) * SHARE
    measures: dict[str, Measure] = {}
    for target in servers:
        for rate in sorted({slowest, most[target.name].rate * SHARE}):
            measures[f"{target.name}, {rate:,.0f}/s"] = _steady(bench, target, rate)
        measures[f"{target.name}, saturated"] = saturated[target.name]
    if bench.pgbench:
        rate = most[GATEWAY].rate * SHARE
        name = f"{statements.FUNCTION}, {rate:,.0f}/s"
        measures[name] = _pgbench_steady(bench, bench.pgbench, rate)
    found.rows = interleaved(measures, bench.rounds)
    return found


def _pgbench_steady(bench: Bench, program: str, rate: float) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        given = program, bench.database.url, bench.scripts[statements.FUNCTION]
        return statements.at_rate(*given, statements.STEADY_CLIENTS, bench.seconds, rate=rate)

    return measure


def _steady(bench: Bench, target: Target, rate: float) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        before = processor_seconds(target.pid)
        stream = Stream("create", bench.requests["create"], rate)
        run = load.fixed(target.port, [stream], bench.seconds)["create"]
        used = processor_seconds(target.pid) - before
        return replace(run, cpu=used / (run.rate * bench.seconds) * 1e6)

    return measure


def mixed(bench: Bench) -> Found:
    """All kinds of calls at once, with and without a slow route beside them."""
    found = Found(
        "mixed",
        "Mixed calls beside a slow route",
        "The gateway alone: creates, lists, calls that are refused, and log-ins at fixed rates; "
        f"then the same with {SLOW:g} calls a second of a route that keeps a database "
        f"connection for {SLOW_SECONDS:g} s.",
        bars="p99",
        ratio="p99 × without",
        base=None,
    )
    rows: dict[str, list[Run]] = {}
    for number, slow in itertools.product(range(bench.rounds + 1), (False, True)):
        for name, run in _mixture(bench, slow=slow).items():
            # The first round warms up.
            rows.setdefault(name + SLOW_ON * slow, []).extend([run] * (number > 0))
    found.rows = {name: rows[name] for name in sorted(rows)}
    found.pairs = {name: name.removesuffix(SLOW_ON) for name in rows if name.endswith(SLOW_ON)}
    return found


def _mixture(bench: Bench, *, slow: bool) -> Mapping[str, Run]:
    bench.database.reset()
    streams = [
        Stream(name, bench.requests[name], rate, STATUS.get(name, 200)) for name, rate in MIXED
    ]
    if slow:
        streams.append(Stream("slow", bench.requests["slow"], SLOW))
    found = dict(load.fixed(bench.targets[GATEWAY].port, streams, bench.seconds))
    # What it takes is known; it is there for what it does to the others.
    found.pop("slow", None)
    return found


def many(bench: Bench) -> Found:
    """Many routes, on databases and servers of their own."""
    return many_routes.run(rounds=bench.rounds, seconds=bench.seconds, smoke=bench.smoke)


WORKLOADS: dict[str, Callable[[Bench], Found]] = {
    "noop": noop,
    "create": create,
    "list": distinct,
    "same": same,
    "lone": lone,
    "steady": steady,
    "mixed": mixed,
    "routes": many,
}
