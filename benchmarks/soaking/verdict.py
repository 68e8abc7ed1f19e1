"""The verdict on a soak test: pure functions from its columns to figures and findings."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soaking.mix import KINDS, READ, WRITE
from soaking.results import PROCESSES, Soak

WARM_UP = 600.0
"""Seconds, at most a third of a run, in which pools fill."""

CACHES_FULL = 2100.0
"""Seconds until the slowest cache is full: 10,000 unknown tokens, at 5 a second for a worker."""

MIN_MEMORY_SECONDS = 3500.0
"""A shorter run does not say whether memory grows: little of it is left once caches are full."""

MIN_SECONDS = 1800.0
"""A shorter run does not say whether descriptors, connections or times grow."""

MAX_GROWTH = 0.02
"""The share of its memory by which a process may grow in an hour, once caches are full."""

MAX_DRIFT = 1.1
"""The factor by which a time may grow from first to last third, beyond the bare server's."""

MAX_LOAD = 8.0
"""The load average above which calls mostly wait for a core that other programs use."""

MIN_WINDOWS = 6
"""Windows below this load that the first and the last third must have, to compare latencies."""

MAX_MORE = 1.05
"""The factor by which descriptors and connections may grow: pools open some late, up to a bound."""

MAX_MORE_THREADS = 2
"""The number by which the threads of all processes may grow: those of mail start late."""

OVERLOAD = ("503 service-unavailable", "504 service-timeout", "500 mandrill-email-failed")
UNSENT = "not sent"
"""The outcome of a call that found no free connection, since all waited for an answer."""

TWIN = "409 idempotency-conflict"
"""Documented answers that no kind expects: in an overload, and to a repeat at the same moment."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the verdict; `holds` is None if the run cannot tell."""

    what: str
    measured: str
    holds: bool | None


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line of least squares through points (x, y); 0 for fewer than two x."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return float(statistics.linear_regression(xs, ys).slope) if len({*xs}) > 1 else 0.0


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the last third of at least one value."""
    third = max(1, len(values) // 3)
    return statistics.median(values[:third]), statistics.median(values[-third:])


def calm_thirds(soak: Soak, name: str) -> tuple[list[float], list[float]]:
    """A column's values in the first and in the last third of a run, only of calm windows.

    The machine is shared: a window at a load average above `MAX_LOAD` says nothing of the gateway.
    """
    calm = {at for at, load in soak.points("load average") if load <= MAX_LOAD}
    third = max(soak.values("at")) / 3
    points = [(at, value) for at, value in soak.points(name) if at in calm]
    first = [value for at, value in points if at <= third]
    return first, [value for at, value in points if at > 2 * third]


def warm_up(soak: Soak) -> float:
    """The seconds after which the pools of a run are filled."""
    return min(WARM_UP, max(soak.values("at")) / 3)


def growth(soak: Soak, process: str) -> float:
    """The share of its memory by which a process grows in an hour, once caches are full.

    Raises IndexError if the run ends before.
    """
    points = soak.points(f"{process}: rss", CACHES_FULL)
    return 3600 * slope(points) / points[0][1]


def processor_time(soak: Soak) -> list[float]:
    """Microseconds of processor time of all processes that each window took for a call."""
    per_process = [soak.values(f"{process}: cpu") for process in PROCESSES]
    totals = [sum(values) for values in zip(*per_process, strict=False)]
    used = [after - before for before, after in itertools.pairwise(totals)]
    calls = soak.values("calls")[1:]
    return [seconds / count * 1e6 for seconds, count in zip(used, calls, strict=False) if count]


def unexpected(answers: Mapping[str, int], documented: Sequence[str] = ()) -> dict[str, int]:
    """The answers that their kind of call does not expect, without those that are `documented`."""
    expected = {f"{kind.name}: {kind.expected}" for kind in KINDS}
    return {
        name: count
        for name, count in answers.items()
        if name not in expected and name.partition(": ")[2] not in documented
    }


def judge(soak: Soak) -> list[Finding]:
    """The rows of the verdict."""
    return [
        *(_memory(soak, process) for process in PROCESSES),
        _held(soak, "open descriptors", [f"{process}: fds" for process in PROCESSES]),
        _held(soak, "threads", [f"{process}: threads" for process in PROCESSES]),
        _held(soak, "database connections", ["database connections"]),
        *(_latency(soak, group) for group in (READ, WRITE)),
        _processor(soak),
        *_answers(soak),
        _revocations(soak),
        Finding("workers that were replaced", f"{soak.replaced}", not soak.replaced),
    ]


def _lasts(soak: Soak, seconds: float) -> bool:
    return max(soak.values("at")) >= seconds


def _told(soak: Soak, *, holds: bool) -> bool | None:
    """Whether something holds over time; None in a run that is too short to tell."""
    return holds if _lasts(soak, MIN_SECONDS) else None


def _memory(soak: Soak, process: str) -> Finding:
    values = soak.values(f"{process}: rss")
    what = f"memory of {process}, once caches are full"
    measured = f"{values[0]:.1f} MiB at first, {values[-1]:.1f} at last"
    if not _lasts(soak, MIN_MEMORY_SECONDS):
        return Finding(what, measured, holds=None)
    grows = growth(soak, process)
    return Finding(what, f"{grows * 100:+.1f} % an hour; {measured}", holds=grows <= MAX_GROWTH)


def _held(soak: Soak, what: str, names: Sequence[str]) -> Finding:
    columns = [soak.values(name, warm_up(soak)) for name in names]
    totals = [sum(values) for values in zip(*columns, strict=False)]
    first, last = thirds(totals)
    measured = f"{first:g} in the first third, {last:g} in the last, {max(totals):g} at most"
    holds = last <= max(first * MAX_MORE, first + MAX_MORE_THREADS)
    return Finding(what, measured, _told(soak, holds=holds))


def _latency(soak: Soak, group: str) -> Finding:
    columns = [calm_thirds(soak, f"{name}: p99") for name in (group, "bare")]
    counts = [len(values) for values in columns[0]]
    what = f"p99 of {group}, in windows at a load average of at most {MAX_LOAD:g}"
    if min(counts) < MIN_WINDOWS:
        return Finding(
            what, f"{counts[0]} windows in the first third, {counts[1]} in the last", None
        )
    (first, last), bare = [[statistics.median(part) for part in column] for column in columns]
    ratio, base = last / first, bare[1] / bare[0]
    measured = (
        f"{first:.1f} ms in the first third, {last:.1f} in the last: × {ratio:.2f}; the bare "
        f"server × {base:.2f} ({counts[0]} and {counts[1]} windows)"
    )
    return Finding(what, measured, _told(soak, holds=ratio <= MAX_DRIFT * max(1.0, base)))


def _processor(soak: Soak) -> Finding:
    times = processor_time(soak)
    if not times:
        return Finding("processor time of a call", "not measured", holds=None)
    first, last = thirds(times)
    measured = f"{first:.0f} µs in the first third, {last:.0f} in the last: × {last / first:.2f}"
    holds = _told(soak, holds=last <= MAX_DRIFT * first)
    return Finding("processor time of a call", measured, holds)


def _answers(soak: Soak) -> list[Finding]:
    total = sum(soak.answers.values())
    wrong = unexpected(soak.answers, [TWIN, UNSENT, *OVERLOAD])
    overload = _sum_of(soak.answers, OVERLOAD)
    unsent = _sum_of(soak.answers, [UNSENT])
    refused = sum(n for name, n in soak.changes.items() if name.startswith("refused: "))
    return [
        Finding("undocumented answers", f"{sum(wrong.values()):,} of {total:,}", not wrong),
        Finding(
            "documented answers in an overload", f"{overload:,} of {total:,}", not overload or None
        ),
        Finding("calls without a free connection", f"{unsent:,} of {total:,}", not unsent or None),
        Finding("refused log-ins, log-outs, new tokens and new roles", f"{refused}", not refused),
    ]


def _sum_of(answers: Mapping[str, int], outcomes: Sequence[str]) -> int:
    return sum(n for name, n in answers.items() if name.partition(": ")[2] in outcomes)


def _revocations(soak: Soak) -> Finding:
    changes = soak.changes
    revoked = sum(count for name, count in changes.items() if name.startswith("revoked: "))
    late = [changes.get(f"accepted after {seconds} s", 0) for seconds in (5, 1)]
    last = max(
        (t for name, t in soak.longest.items() if name.startswith("accepted after")), default=0
    )
    measured = (
        f"after 5 s in {late[0]} of {revoked:,} revocations, after 1 s in {late[1]}; "
        f"the last accepted of {changes.get('calls after a revocation', 0):,} calls "
        f"began {last:,.1f} ms after"
    )
    return Finding("calls accepted after a revocation", measured, not late[0])
