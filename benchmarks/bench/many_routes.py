"""Many routes as a workload: the figures of `benchmarks/routes.py`, compared with their goals."""

import tempfile
from pathlib import Path

import routes

from bench.load import Run
from bench.machine import on_the_last_core
from bench.results import Goal, WorkloadResult
from gateway.dev.postgres import Cluster

SMOKE_SIZES = (10, 100)
SECONDS = 1.5
MIN_RATE_SHARE = 0.9
"""The rate with the most routes, as a share of the rate with the fewest."""

MAX_MEGABYTES, MAX_LOAD_SECONDS, MAX_STALL = 150, 3, 10
MAX_APPLY_SECONDS = {10_000: 3, 100_000: 20}
"""Seconds that `apply` may take, by the number of routes."""

Rates = dict[tuple[str, int], tuple[float, float]]


def run(*, rounds: int, seconds: float, smoke: bool) -> WorkloadResult:
    """Measure databases, tables and servers of all sizes."""
    result = WorkloadResult(
        "routes",
        "10 to 100,000 routes",
        "Random GETs over all routes of ten shapes, with 1,000 distinct schemas; Starlette "
        "has the same routes, without token, schema or log.",
        ratio_heading="× the fewest",
        base_row=None,
    )
    sizes = SMOKE_SIZES if smoke else routes.SIZES
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with on_the_last_core():
            cluster = Cluster(folder / "postgres")
            cluster.start()
        try:
            prepared = {count: routes.prepare(cluster, folder, count) for count in sizes}
            urls = {count: url for count, (url, _) in prepared.items()}
            rates = routes.serve_and_measure(folder, urls, rounds, min(seconds, SECONDS))
        finally:
            cluster.stop()
    result.rows = {_row_name(*key): [Run(rate, cpu=cpu)] for key, (rate, cpu) in rates.items()}
    result.pairs = {_row_name(*key): _row_name(key[0], sizes[0]) for key in rates}
    result.goals = _goals({count: size for count, (_, size) in prepared.items()}, rates)
    return result


def _row_name(server: str, count: int) -> str:
    return f"{server}, {count:,} routes"


def _goals(sizes: dict[int, routes.Size], rates: Rates) -> list[Goal]:
    few, many = min(sizes), max(sizes)
    subject, build = f"{many:,} routes", sizes[many].build
    share = rates["gateway", many][0] / rates["gateway", few][0]
    rate_goal = Goal(
        what=f"{subject}: requests a second",
        goal=f"≥ {MIN_RATE_SHARE:g} × {few} routes",
        measured=f"{share:.2f}",
        met=share >= MIN_RATE_SHARE,
    )
    goals = [rate_goal]
    for words, unit, limit, value in (
        ("memory with every schema compiled", "MB", MAX_MEGABYTES, build.megabytes_compiled),
        ("full load", "s", MAX_LOAD_SECONDS, build.seconds),
        ("longest stall of the loop in it", "ms", MAX_STALL, build.stall),
    ):
        goals.append(_limit_goal(f"{subject}: {words}", unit, limit, value))
    for count, limit in MAX_APPLY_SECONDS.items():
        if count in sizes:
            what = f"{count:,} routes: `apply`"
            goals.append(_limit_goal(what, "s", limit, sizes[count].apply))
    return goals


def _limit_goal(what: str, unit: str, limit: float, value: float) -> Goal:
    return Goal(
        what=what,
        goal=f"≤ {limit:g} {unit}",
        measured=f"{value:.2f} {unit}",
        met=value <= limit,
    )
