"""The last hour: one worker adds up what all workers report, and keeps the sums in the database."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncpg import Record

from gateway.database.handle import Database
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.monitoring.reporter import REPORT_INTERVAL
from gateway.runtime.windows import BOUNDS, MAX_ROUTES

SAMPLE_INTERVAL = REPORT_INTERVAL
MAX_AGE = 30.0
"""Seconds after its last report until a worker is left out."""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


async def add_sample(database: Database) -> None:
    """Add up the windows that no sample has yet; a job of maintenance."""
    workers = await database.fetch(_SQL["windows"], MAX_AGE)
    await database.fetch(_SQL["add_sample"], sample_of(workers))


async def sweep(database: Database) -> bool:
    """Delete a slice of the sums and figures older than an hour; return whether more is left."""
    has_samples = await delete_slice(database, _SQL["sweep_samples"])
    has_figures = await delete_slice(database, _SQL["sweep_figures"])
    return has_samples or has_figures


def sample_of(workers: Sequence[Record | Mapping[str, Any]]) -> Mapping[str, Any]:
    """The sums of what the workers have reported since the last sample.

    `numbers` has the last window of each worker that is part of it.
    """
    new = [_new_windows(worker) for worker in workers]
    windows = [window for worker_windows in new for window in worker_windows]
    numbers = {
        worker["worker"]: max((window["number"] for window in worker["windows"]), default=0)
        for worker in workers
    }
    figures = [worker["figures"] for worker in workers]
    return {
        "numbers": numbers,
        "workers": len(workers),
        # The windows of one worker follow each other; those of different workers overlap.
        "seconds": REPORT_INTERVAL * max(map(len, new), default=0),
        "in_flight": sum(worker["in_flight"] for worker in figures),
        "loop_lag": max((worker["loop_lag"] for worker in figures), default=0.0),
        "requests": sum(window["requests"] for window in windows),
        "faults": _sums(window["faults"] for window in windows),
        "durations": [
            sum(window["durations"][index] for window in windows)
            for index in range(len(BOUNDS) + 1)
        ],
        "routes": _routes(windows),
    }


def _new_windows(worker: Record | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    added = worker["added"] or 0
    return [window for window in worker["windows"] if window["number"] > added]


def _sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: collections.Counter[str] = collections.Counter()
    for part in counts:
        total.update(part)
    return dict(total)


def _routes(windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of the routes: those with faults first, then the busiest; `MAX_ROUTES` at most."""
    parts: dict[str, list[Mapping[str, Any]]] = collections.defaultdict(list)
    for window in windows:
        for name, counts in window["routes"].items():
            parts[name].append(counts)
    summed = {name: _route(counts) for name, counts in parts.items()}
    kept = sorted(
        summed, key=lambda name: (-summed[name]["faults"], -sum(summed[name]["slugs"].values()))
    )
    return {name: summed[name] for name in kept[:MAX_ROUTES]}


def _route(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "slugs": _sums(part["slugs"] for part in counts),
        "durations": _sums(part["durations"] for part in counts),
        "faults": sum(part["faults"] for part in counts),
    }
