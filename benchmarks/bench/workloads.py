"""The workloads: each sends the same requests to every server that can answer them."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from bench import load, many_routes, pgbench
from bench.calls import SLOW_SECONDS, Requests
from bench.database import Database
from bench.load import LoadError, Run, Stream, median
from bench.machine import on_the_first_core, processor_seconds
from bench.results import Measure, WorkloadResult, interleaved
from bench.targets import GATEWAY, PYTHON_PATH, Target

ECHO_CONNECTIONS = 32
NOOP_GOALS = (
    ("Fastify, same work", 2.0),
    ("Litestar, same work", 3.0),
    ("FastAPI, same work", 4.0),
    ("BlackSheep, same work", 1.0),
    ("Starlette echo", 1.0),
    ("raw uvicorn echo", 0.7),
)
MIXED = (("create", 200.0), ("list", 200.0), ("refused", 100.0), ("log-in", 5.0))
STATUS = {"refused": 400}
SLOW_RATE = 8.0
"""Calls a second of the slow route; each holds a connection for `SLOW_SECONDS`."""

WITH_SLOW_ROUTE = ", slow route on"
ASYNCPG_STATEMENT = "asyncpg, the gateway's statement"
ASYNCPG_FUNCTION = "asyncpg, one function"
OFFERED_SHARE = 0.5
"""The share of a server's saturated rate at which the steady workload sends."""


@dataclass(slots=True)
class Bench:
    """The servers, the requests and the options that all workloads share."""

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

    def servers_with(self, request: str) -> list[Target]:
        """The servers that can answer a request."""
        return [target for target in self.targets.values() if request in target.requests]

    def run_closed_loop(self, target: Target, requests: str, connections: int) -> Run:
        """One run of a closed loop, with the server's processor time a request."""
        before = processor_seconds(target.pid)
        run, done = load.closed_loop(
            target.port, self.requests[requests], connections, self.seconds
        )
        used = processor_seconds(target.pid) - before
        return replace(run, cpu=used / done * 1e6)

    def run_creates(self, target: Target, connections: int) -> Run:
        """One run of creates on a reset database, which must then hold a row for each answer."""
        self.database.reset()
        run = self.run_closed_loop(target, "create", connections)
        if self.database.written() < run.rate * self.seconds * 0.99:
            raise LoadError(f"{target.name}: the database has fewer rows than there were answers")
        return run


def noop(bench: Bench) -> WorkloadResult:
    """A POST to a handler that does nothing."""
    result = WorkloadResult(
        "noop",
        "A call that does nothing",
        f"POST of {bench.requests.body_length('echo')} bytes of JSON, {ECHO_CONNECTIONS} "
        "connections. The gateway looks up the token, checks roles, validates, logs a line of JSON "
        "and counts into a histogram. The peers with the *same work* do all of it too: tokens in "
        "memory; pydantic, msgspec or ajv; structlog or pino; prometheus_client or prom-client. "
        "The other rows are limits, which never read the token: FastAPI, Litestar and Fastify only "
        "validate and echo, and the others only echo.",
    )
    measures: dict[str, Measure] = {
        target.name: _echo(bench, target) for target in bench.servers_with("echo")
    }
    result.rows = interleaved(measures, bench.rounds)
    what = "a call that does nothing"
    for name, factor in NOOP_GOALS:
        result.compare(what, name, factor)
    return result


def _echo(bench: Bench, target: Target) -> Measure:
    return lambda: bench.run_closed_loop(target, "echo", ECHO_CONNECTIONS)


def create(bench: Bench) -> WorkloadResult:
    """Creates, each answered after its commit."""
    result = WorkloadResult(
        "create",
        "order_stages.create",
        f"{bench.connections} connections, 64 callers, 5,000 orders; every answer comes after its "
        "commit has reached the disk. FastAPI with asyncpg's pool and Fastify with pg's pool look "
        "up the token, validate, write both rows, log and count; unlike the gateway, they do not "
        "record when a session was last used. pgbench sends only the two statements, without "
        "HTTP, token or validation; its p50 is a mean.",
    )
    measures: dict[str, Measure] = {
        target.name: _create(bench, target, bench.connections)
        for target in bench.servers_with("create")
    }
    result.rows = interleaved({**measures, **_pgbench(bench)}, bench.rounds)
    what = f"`order_stages.create`, {bench.connections} connections, durable commit"
    result.compare(what, pgbench.TRANSACTION, 2.2)
    result.compare(what, pgbench.FUNCTION, 1.5)
    result.compare(what, "FastAPI", 6)
    result.compare(what, "Fastify", 4)
    return result


def _create(bench: Bench, target: Target, connections: int) -> Measure:
    return lambda: bench.run_creates(target, connections)


def _pgbench(bench: Bench) -> dict[str, Measure]:
    """Each script, with the number of clients that gives the highest rate here."""
    if bench.pgbench is None:
        bench.notes.append("pgbench is left out: it is not installed.")
        return {}
    program, url, clients = bench.pgbench, bench.database.url, {}
    counts = pgbench.CLIENTS[: 1 if bench.smoke else None]
    for name, script in bench.scripts.items():
        bench.database.reset()
        clients[name] = pgbench.best_client_count(program, url, script, bench.seconds / 2, counts)
    chosen = ", ".join(f"{name.removeprefix('pgbench, ')}: {n}" for name, n in clients.items())
    bench.notes.append(f"pgbench runs with the number of clients that is fastest here: {chosen}.")
    return {name: _pgbench_run(bench, program, name, clients[name]) for name in bench.scripts}


def _pgbench_run(bench: Bench, program: str, name: str, clients: int) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        script, url = bench.scripts[name], bench.database.url
        return pgbench.run(program, url, script, clients, bench.seconds)

    return measure


def distinct_lists(bench: Bench) -> WorkloadResult:
    """Lists that all differ."""
    result = WorkloadResult(
        "list",
        "A list of 50 statuses, no two requests alike",
        f"{bench.connections} connections; each request filters by a different time, and all "
        "fifty statuses pass the filter. The gateway asks the database for a hash of the page, "
        "and keeps the rendered rows until they change.",
    )
    result.rows = interleaved(_lists(bench, "list"), bench.rounds)
    result.compare("list of 50 statuses, distinct requests", "FastAPI", 8)
    return result


def identical_lists(bench: Bench) -> WorkloadResult:
    """Lists that are all alike."""
    result = WorkloadResult(
        "same",
        "A list of 50 statuses, all requests alike",
        f"{bench.connections} connections send the same request with the same token: the best "
        "case for sharing one query among waiting calls.",
    )
    result.rows = interleaved(_lists(bench, "same list"), bench.rounds)
    result.compare("list of 50 statuses, identical requests", "FastAPI", 12)
    return result


def _lists(bench: Bench, requests: str) -> dict[str, Measure]:
    def measure(target: Target) -> Measure:
        return lambda: bench.run_closed_loop(target, requests, bench.connections)

    return {target.name: measure(target) for target in bench.servers_with("list")}


def lone_creates(bench: Bench) -> WorkloadResult:
    """One create at a time."""
    result = WorkloadResult(
        "lone",
        "One create at a time",
        "One connection. The asyncpg rows run only the prepared statements, on the servers' core: "
        "as the gateway's own statement, which also checks referenced rows and looks for mail, as "
        "one function, and as a transaction of four round trips.",
        chart_column="p50",
        ratio_heading="gateway's p50 ×",
    )
    measures: dict[str, Measure] = {
        target.name: _create(bench, target, 1) for target in bench.servers_with("create")
    }
    measures[ASYNCPG_STATEMENT] = lambda: asyncpg_floor(bench, "statement")
    measures[ASYNCPG_FUNCTION] = lambda: asyncpg_floor(bench, "function")
    measures["asyncpg, one transaction"] = lambda: asyncpg_floor(bench, "transaction")
    result.rows = interleaved(measures, bench.rounds)
    for floor in (ASYNCPG_STATEMENT, ASYNCPG_FUNCTION):
        result.compare("one call at a time: latency (p50)", floor, 1.5, column="p50", at_most=True)
    return result


def asyncpg_floor(bench: Bench, kind: str) -> Run:
    """Run the statements through asyncpg, without a server."""
    bench.database.reset()
    script = str(Path(__file__).with_name("asyncpg_floor.py"))
    command = [sys.executable, script, bench.database.url, kind, str(bench.seconds)]
    with on_the_first_core():
        completed = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": PYTHON_PATH}, capture_output=True, check=False
        )
    if completed.returncode:
        raise LoadError(completed.stderr.decode())
    return Run(**orjson.loads(completed.stdout))


def steady_creates(bench: Bench) -> WorkloadResult:
    """Creates at half of the most that each server answers, and at half of the slowest's."""
    result = WorkloadResult(
        "steady",
        "Creates at a fixed rate",
        "Random arrivals; each latency counts from when its request was due. The client's timer "
        "adds about a millisecond to every figure except pgbench's. *Saturated* is a server that "
        "is called as fast as it answers; afterwards it gets "
        f"{OFFERED_SHARE * 100:.0f} % of that rate, and the same share of the slowest server's. "
        "pgbench at the gateway's rate shows the limit of PostgreSQL and the disk.",
        chart_column="p99",
        base_row=None,
    )
    servers = bench.servers_with("create")
    measures = {target.name: _create(bench, target, bench.connections) for target in servers}
    saturated = interleaved(measures, bench.rounds)
    rates = {name: median(runs).rate * OFFERED_SHARE for name, runs in saturated.items()}
    at_rates = {
        f"{target.name}, {rate:,.0f}/s": _steady(bench, target, rate)
        for target in servers
        for rate in sorted({min(rates.values()), rates[target.name]})
    }
    if bench.pgbench:
        rate = rates[GATEWAY]
        name = f"{pgbench.FUNCTION}, {rate:,.0f}/s"
        at_rates[name] = _pgbench_steady(bench, bench.pgbench, rate)
    full = {f"{name}, saturated": runs for name, runs in saturated.items()}
    result.rows = full | interleaved(at_rates, bench.rounds)
    return result


def _pgbench_steady(bench: Bench, program: str, rate: float) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        return pgbench.at_rate(
            program=program,
            url=bench.database.url,
            script=bench.scripts[pgbench.FUNCTION],
            clients=pgbench.STEADY_CLIENTS,
            seconds=bench.seconds,
            rate=rate,
        )

    return measure


def _steady(bench: Bench, target: Target, rate: float) -> Measure:
    def measure() -> Run:
        bench.database.reset()
        before = processor_seconds(target.pid)
        stream = Stream("create", bench.requests["create"], rate)
        run = load.open_loop(target.port, [stream], bench.seconds)["create"]
        used = processor_seconds(target.pid) - before
        return replace(run, cpu=used / (run.rate * bench.seconds) * 1e6)

    return measure


def mixed_calls(bench: Bench) -> WorkloadResult:
    """All kinds of calls at once, with and without a slow route beside them."""
    result = WorkloadResult(
        "mixed",
        "Mixed calls beside a slow route",
        "The gateway alone: creates, lists, refused calls and log-ins at fixed rates; "
        f"then the same with {SLOW_RATE:g} calls a second of a route that holds a database "
        f"connection for {SLOW_SECONDS:g} s.",
        chart_column="p99",
        ratio_heading="p99 × without",
        base_row=None,
    )
    rows: dict[str, list[Run]] = {}
    for round_number, slow in itertools.product(range(bench.rounds + 1), (False, True)):
        for name, run in _mixed_round(bench, slow=slow).items():
            # The first round warms up.
            rows.setdefault(name + WITH_SLOW_ROUTE * slow, []).extend([run] * (round_number > 0))
    result.rows = {name: rows[name] for name in sorted(rows)}
    with_slow_route = [name for name in rows if name.endswith(WITH_SLOW_ROUTE)]
    result.pairs = {name: name.removesuffix(WITH_SLOW_ROUTE) for name in with_slow_route}
    return result


def _mixed_round(bench: Bench, *, slow: bool) -> Mapping[str, Run]:
    bench.database.reset()
    streams = [
        Stream(name, bench.requests[name], rate, STATUS.get(name, 200)) for name, rate in MIXED
    ]
    if slow:
        streams.append(Stream("slow", bench.requests["slow"], SLOW_RATE))
    runs = dict(load.open_loop(bench.targets[GATEWAY].port, streams, bench.seconds))
    # Its latency is known; only its effect on the other calls is reported.
    runs.pop("slow", None)
    return runs


def growing_routes(bench: Bench) -> WorkloadResult:
    """10 to 100,000 routes, on their own databases and servers."""
    return many_routes.run(rounds=bench.rounds, seconds=bench.seconds, smoke=bench.smoke)


WORKLOADS: dict[str, Callable[[Bench], WorkloadResult]] = {
    "noop": noop,
    "create": create,
    "list": distinct_lists,
    "same": identical_lists,
    "lone": lone_creates,
    "steady": steady_creates,
    "mixed": mixed_calls,
    "routes": growing_routes,
}
