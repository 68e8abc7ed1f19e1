"""Many routes, as a workload: what `benchmarks/routes.py` measures, held against its goals."""

import tempfile
from pathlib import Path

import routes

from bench.load import Run
from bench.machine import on_the_last_core
from bench.results import Found, Goal
from gateway.dev.postgres import Cluster

SMOKE_SIZES = (10, 100)
SECONDS = 1.5
KEPT = 0.9
"""The share of requests a second that the most routes are to keep of what the fewest have."""

MAX_MEGABYTES, MAX_LOAD_SECONDS, MAX_STALL = 150, 3, 10
APPLY = ((10_000, 3), (100_000, 20))
"""Seconds that `apply` may take for so many routes."""

Rates = dict[tuple[str, int], tuple[float, float]]


def run(*, rounds: int, seconds: float, smoke: bool) -> Found:
    """Databases, tables and servers of all sizes."""
    found = Found(
        "routes",
        "10 to 100,000 routes",
        "Random GETs over all routes of ten shapes, with 1,000 distinct schemas; Starlette "
        "has the same routes, without token, schema or log.",
        ratio="× the fewest",
        base=None,
    )
    sizes = SMOKE_SIZES if smoke else routes.SIZES
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with on_the_last_core():
            cluster = Cluster(folder / "postgres")
            cluster.start()
        try:
            made = {count: routes.prepare(cluster, folder, count) for count in sizes}
            urls = {count: url for count, (url, _) in made.items()}
            rates = routes.serve_and_measure(folder, urls, rounds, min(seconds, SECONDS))
        finally:
            cluster.stop()
    found.rows = {_name(*key): [Run(rate, cpu=cpu)] for key, (rate, cpu) in rates.items()}
    found.pairs = {_name(*key): _name(key[0], sizes[0]) for key in rates}
    found.goals = _goals({count: size for count, (_, size) in made.items()}, rates)
    return found


def _name(server: str, count: int) -> str:
    return f"{server}, {count:,} routes"


def _goals(sizes: dict[int, routes.Size], rates: Rates) -> list[Goal]:
    few, many = min(sizes), max(sizes)
    what, build = f"{many:,} routes", sizes[many].build
    kept = rates["gateway", many][0] / rates["gateway", few][0]
    goal = f"≥ {KEPT:g} × {few} routes"
    goals = [Goal(f"{what}: requests a second", goal, f"{kept:.2f}", kept >= KEPT)]
    for words, unit, most, value in (
        ("memory with every schema compiled", "MB", MAX_MEGABYTES, build.megabytes_compiled),
        ("full load", "s", MAX_LOAD_SECONDS, build.seconds),
        ("longest stall of the loop in it", "ms", MAX_STALL, build.stall),
    ):
        goals.append(_most(f"{what}: {words}", unit, most, value))
    applied = [(count, most) for count, most in APPLY if count in sizes]
    for count, most in applied:
        goals.append(_most(f"{count:,} routes: `apply`", "s", most, sizes[count].apply))
    return goals


def _most(what: str, unit: str, most: float, value: float) -> Goal:
    return Goal(what, f"≤ {most:g} {unit}", f"{value:.2f} {unit}", value <= most)
