"""The verdict: what is broken, since when, and where to look. A pure function of the state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from gateway.monitoring.state import Notice, State, WorkerView
from gateway.notifications import kinds

Level: TypeAlias = Literal["good", "warn", "bad"]

LATE = timedelta(seconds=5)
"""How long after its commit a revision may take until workers without it are named."""

MAX_FAULT_SHARE = 0.01
MIN_FAULTS = 5
RECENT = timedelta(minutes=1)
"""The share of faults in the last minute above which they are a problem of their own; fewer than
`MIN_FAULTS` are what notifications are for."""

MAX_LAG = 0.25
"""Seconds of event-loop delay above which calls wait noticeably."""

MAX_NOTICES = 10
"""Open notifications that are named; the others are counted."""

OVER = timedelta(minutes=10)
"""For how long the end of a problem is reported."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: a title of a few words, the rest of the sentence, and a page of the console."""

    level: Level
    title: str
    detail: str
    since: datetime | None
    page: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings, the worst first; without any, all is well since `since`.

    `over` are the problems that ended lately.
    """

    findings: Sequence[Finding]
    since: datetime | None
    over: Sequence[Finding]

    @property
    def level(self) -> Level:
        """The level of the worst finding."""
        return self.findings[0].level if self.findings else "good"


def judge(state: State) -> Verdict:
    """The verdict on a state."""
    findings = [
        *_database(state),
        *_notices(state),
        *_workers(state),
        *_registry(state),
        *_faults(state),
        *_outbox(state),
        *_lag(state),
    ]
    ordered = sorted(findings, key=lambda finding: finding.level != "bad")
    over = list(_over(state))
    return Verdict(findings=ordered, since=_well_since(state, over), over=over)


def _database(state: State) -> Iterator[Finding]:
    if state.problem:
        detail = state.problem.removeprefix("the database does not answer").removeprefix(": ")
        yield Finding("bad", "The database does not answer", detail, state.at, "workers")


def _notices(state: State) -> Iterator[Finding]:
    # `_workers` and `_database` report the late ones at once, before a notification is written.
    shown = [notice for notice in state.open if notice.kind != "worker-late"]
    for notice in shown[:MAX_NOTICES]:
        yield _notice(notice)
    more = state.open_count - len(state.open) + len(shown[MAX_NOTICES:])
    if more:
        yield Finding("warn", f"{more} more notifications are open", "", None, "notifications")


def _notice(notice: Notice) -> Finding:
    parts = [notice.route or "", notice.message]
    if notice.messages:
        parts.append(f"{notice.messages} {_plural('message', notice.messages)} not sent")
    return Finding(
        level="warn" if notice.severity == "warning" else "bad",
        title=kinds.title(notice.kind),
        detail=" · ".join(filter(None, parts)),
        since=notice.first_seen,
        page=f"notifications#notification.{notice.id}",
    )


def _workers(state: State) -> Iterator[Finding]:
    if state.problem:
        return
    if not state.alive:
        yield Finding("bad", "No worker reports", "", _latest(state.workers), "workers")
    for worker in _silent(state):
        if not _successor(state, worker):
            yield Finding(
                "bad",
                "A worker does not report",
                f"{worker.label}, and no other has replaced it",
                worker.seen_at,
                "workers",
            )


def _registry(state: State) -> Iterator[Finding]:
    for worker in state.alive:
        if worker.problem:
            detail = f"{worker.label}, revision {worker.revision}: {worker.problem}"
            yield Finding("bad", "A worker is late", detail, state.applied_at, "workers")
    is_due = state.applied_at is not None and state.at - state.applied_at > LATE
    late = [
        worker
        for worker in state.alive
        if not worker.problem and worker.revision < (state.newest or 0)
    ]
    if late and is_due:
        names = ", ".join(worker.label for worker in late)
        detail = f"{names} do not serve revision {state.newest} yet"
        yield Finding("bad", "Workers are late", detail, state.applied_at, "workers")


def _faults(state: State) -> Iterator[Finding]:
    samples = state.last(RECENT)
    requests = sum(sample.values["requests"] for sample in samples)
    faults = sum(sample.faults for sample in samples)
    if faults >= MIN_FAULTS and faults / requests > MAX_FAULT_SHARE:
        detail = f"{faults:,} of {requests:,} in the last minute"
        yield Finding("bad", f"{faults / requests:.0%} of requests fail", detail, None, "routes")


def _outbox(state: State) -> Iterator[Finding]:
    parked = state.outbox.get("parked", 0)
    if parked and not any(notice.messages for notice in state.open):
        title = f"{parked:,} {_plural('message', parked)} parked"
        detail = "not tried again until an operator retries"
        yield Finding("warn", title, detail, None, "outbox?state=parked")


def _lag(state: State) -> Iterator[Finding]:
    slow = [worker for worker in state.alive if worker.figures.get("loop_lag", 0) > MAX_LAG]
    for worker in slow:
        detail = f"{worker.label} was {worker.figures['loop_lag']:.2f} s late"
        yield Finding("warn", "Calls wait for a busy worker", detail, None, "workers")


def _over(state: State) -> Iterator[Finding]:
    """The problems that ended in the last minutes, the latest first."""
    for row in state.resolved:
        ended = datetime.fromisoformat(row["resolved_at"])
        if state.at - ended < OVER:
            detail = f"{row['route'] or row['message']}, resolved by {row['resolved_by']}"
            title = kinds.title(row["kind"])
            yield Finding("good", title, detail, ended, "notifications?state=resolved")
    for worker in _silent(state):
        if successor := _successor(state, worker):
            detail = f"{worker.label} ended; another process has replaced it"
            yield Finding("good", "A worker died", detail, successor.started_at, "workers")


def _well_since(state: State, over: Sequence[Finding]) -> datetime | None:
    """Since when nothing is wrong, as far as the last minutes and the workers' age tell."""
    ends = [finding.since for finding in over if finding.since]
    starts = [worker.started_at for worker in state.alive if worker.started_at]
    return max([*ends, *([min(starts)] if starts else [])], default=None)


def _silent(state: State) -> list[WorkerView]:
    return [worker for worker in state.workers if not worker.alive]


def _successor(state: State, silent: WorkerView) -> WorkerView | None:
    """The live worker that replaced a silent one, or None."""
    for worker in state.alive:
        if _is_in_place_of(worker, silent) and _is_later(worker, silent):
            return worker
    return None


def _is_in_place_of(worker: WorkerView, silent: WorkerView) -> bool:
    """Whether both have the same index on a machine; if the silent one never reported, any fits."""
    is_same_index = not silent.figures or worker.figures.get("index") == silent.figures.get("index")
    return worker.machine == silent.machine and is_same_index


def _is_later(worker: WorkerView, silent: WorkerView) -> bool:
    return (worker.started_at or silent.seen_at) >= (silent.started_at or silent.seen_at)


def _latest(workers: Sequence[WorkerView]) -> datetime | None:
    return max((worker.seen_at for worker in workers), default=None)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
