"""What the console shows: the state of all workers, as one query of the database gave it."""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from gateway.runtime.windows import BOUNDS, FAULTS, quantile

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker: what it serves, and its own figures, which are empty before its first report.

    `alive` is false if it has not been heard of for some seconds.
    """

    name: str
    revision: int
    problem: str | None
    seen_at: datetime
    alive: bool
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its machine and its number there, or its process if it has no number."""
        index = self.figures.get("index")
        return (
            f"{self.machine} {self.name.partition(':')[2] if index is None else f'worker {index}'}"
        )

    @property
    def machine(self) -> str:
        """The name of its machine; before its first report, the one in its heartbeat."""
        return self.figures.get("machine") or self.name.partition(":")[0]

    @property
    def started_at(self) -> datetime | None:
        """When its process began to serve."""
        text = self.figures.get("started_at")
        return datetime.fromisoformat(text) if text else None

    @property
    def revision_since(self) -> datetime | None:
        """When it began to serve its revision; None while its figures are of an earlier one."""
        text = self.figures.get("revision_since")
        if text and self.figures.get("revision") == self.revision:
            return datetime.fromisoformat(text)
        return None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "WorkerView":
        """A worker from the JSON of the query."""
        return cls(
            name=row["name"],
            revision=row["revision"],
            problem=row["trouble"],
            seen_at=datetime.fromisoformat(row["seen_at"]),
            alive=row["alive"],
            figures=row["figures"] or {},
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification; `messages` of the outbox wait because of it."""

    id: int
    kind: str
    severity: str
    message: str
    route: str | None
    request_id: str | None
    first_seen: datetime
    last_seen: datetime
    count: int
    messages: int
    fold: str
    resolved_at: datetime | None = None
    resolved_by: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Notice":
        """A notification from a row, or from the JSON of one."""
        times = {
            name: datetime.fromisoformat(row[name]) if isinstance(row[name], str) else row[name]
            for name in ("first_seen", "last_seen", "resolved_at")
        }
        return cls(**{**row, **times})


@dataclass(frozen=True, slots=True)
class Sample:
    """What all workers did in some seconds: see `history.sample_of`."""

    at: datetime
    values: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """The length of its time, at least one window."""
        return float(self.values["seconds"]) or 5.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return float(self.values["requests"]) / self.seconds

    @property
    def faults(self) -> int:
        """The requests for whose faults the gateway or a dependency is to blame."""
        return sum(self.values["faults"].get(fault, 0) for fault in FAULTS)

    def quantile(self, share: float) -> float | None:
        """A quantile of the durations in seconds; None without requests."""
        return quantile(self.values["durations"], share)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is shown live, at one moment of the database's clock.

    `problem` says why it is not newer than it is: the database does not answer.
    """

    at: datetime
    workers: Sequence[WorkerView]
    samples: Sequence[Sample]
    open: Sequence[Notice]
    open_count: int
    resolved: Sequence[Mapping[str, Any]]
    outbox: Mapping[str, int]
    newest: int | None
    applied_at: datetime | None
    problem: str | None = None

    @classmethod
    def of(cls, row: Record, before: "State | None") -> "State":
        """The state from a row; the samples of the state before are kept for an hour."""
        new = [Sample(datetime.fromisoformat(sample["at"]), sample) for sample in row["samples"]]
        kept = [*(before.samples if before else ()), *new]
        return cls(
            at=row["at"],
            workers=[WorkerView.of(worker) for worker in row["workers"]],
            samples=[sample for sample in kept if sample.at > row["at"] - HOUR],
            open=[Notice.of(notice) for notice in row["open"]],
            open_count=row["open_count"],
            resolved=row["resolved"],
            outbox=row["outbox"],
            newest=row["newest"],
            applied_at=row["applied_at"],
        )

    def without_database(self, problem: str) -> "State":
        """The same state, marked as old."""
        return replace(self, problem=problem)

    @property
    def alive(self) -> Sequence[WorkerView]:
        """The workers that were heard of lately."""
        return [worker for worker in self.workers if worker.alive]

    def last(self, span: timedelta) -> Sequence[Sample]:
        """The samples of the last minutes."""
        return [sample for sample in self.samples if sample.at > self.at - span]

    def statuses_of(self, route: str) -> Mapping[str, int]:
        """The answers of a route in the last hour, by status, the most frequent first."""
        total: collections.Counter[str] = collections.Counter()
        for sample in self.samples:
            if counts := sample.values["routes"].get(route):
                total.update(counts["slugs"])
        return dict(total.most_common())

    def recent_faults(self, route: str | None = None) -> Sequence[Mapping[str, Any]]:
        """The latest faults that the workers remember, of one route or of all; the newest first."""
        faults = [
            fault
            for worker in self.workers
            for fault in worker.figures.get("recent", ())
            if route in {None, fault["route"]}
        ]
        return sorted(faults, key=lambda fault: str(fault["at"]), reverse=True)


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """A route in the last minutes; `p99` in seconds, None without requests."""

    name: str
    calls: int
    faults: int
    worst_status: str | None
    p99: float | None

    @property
    def fault_share(self) -> float:
        """The share of its requests that met a fault."""
        return self.faults / self.calls if self.calls else 0.0


def routes_of(samples: Sequence[Sample], fault_slugs: frozenset[str]) -> list[RouteFigures]:
    """The routes of some samples: those with the most faults first, then the slowest.

    `fault_slugs` are the statuses that are the gateway's or a dependency's fault.
    """
    names = {name for sample in samples for name in sample.values["routes"] if name}
    figures = [_route_figures(name, samples, fault_slugs) for name in names]
    return sorted(figures, key=lambda route: (-route.faults, -(route.p99 or 0.0), route.name))


def _route_figures(
    name: str, samples: Sequence[Sample], fault_slugs: frozenset[str]
) -> RouteFigures:
    slugs: collections.Counter[str] = collections.Counter()
    durations: collections.Counter[str] = collections.Counter()
    faults = 0
    for sample in samples:
        if counts := sample.values["routes"].get(name):
            slugs.update(counts["slugs"])
            durations.update(counts["durations"])
            faults += counts["faults"]
    worst = next((slug for slug, _ in slugs.most_common() if slug in fault_slugs), None)
    classes = [durations[str(index)] for index in range(len(BOUNDS) + 1)]
    return RouteFigures(
        name=name,
        calls=slugs.total(),
        faults=faults,
        worst_status=worst,
        p99=quantile(classes, 0.99),
    )
