"""The overview: the verdict, eight numbers, the last hour, the worst routes, the workers."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gateway import statuses
from gateway.monitoring.state import Sample, State, routes_of
from gateway.monitoring.verdict import judge
from gateway.pages.console.access import Operator
from gateway.pages.console.console import Console
from gateway.pages.console.plots import Plot, plot
from gateway.pages.render import MIN_WHOLE, NOTHING, milliseconds
from gateway.runtime.windows import FAULTS, quantile

MINUTE = timedelta(minutes=1)
WORST_SPAN = timedelta(minutes=5)
MAX_WORST = 5
FAULT_SLUGS = frozenset(slug for slug, status in statuses.COMMON.items() if status.fault in FAULTS)


class Number(NamedTuple):
    """One of the eight numbers: its name, its value, and what it is of (empty if of nothing)."""

    name: str
    value: str
    limit: str = ""


def live(state: State, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001 - of all live parts
    """What the live part of the overview shows."""
    worst = routes_of(state.last(WORST_SPAN), FAULT_SLUGS)[:MAX_WORST]
    return {
        "verdict": judge(state),
        "numbers": numbers(state),
        "plots": plots(state),
        "worst": worst,
    }


def numbers(state: State) -> Sequence[Number]:
    """The eight numbers: rates and durations of the last minute, the others of this moment."""
    samples = state.last(MINUTE)
    requests = sum(sample.values["requests"] for sample in samples)
    seconds = sum(sample.seconds for sample in samples)
    faults = sum(sample.faults for sample in samples)
    durations = [
        sum(values) for values in zip(*(s.values["durations"] for s in samples), strict=True)
    ]
    workers = [worker.figures for worker in state.alive if worker.figures]
    pools = [worker["pools"]["calls"] for worker in workers]
    in_use = sum(pool["in_use"] for pool in pools)
    opened = in_use + sum(pool["idle"] for pool in pools)
    waiting = sum(pool["waiting"] + pool["waiting_bulkhead"] for pool in pools)
    outstanding = sum(state.outbox.values())
    return (
        Number("requests/s", rate(requests / seconds) if seconds else NOTHING),
        Number("p50", milliseconds(quantile(durations, 0.5))),
        Number("p99", milliseconds(quantile(durations, 0.99))),
        Number("without fault", f"{1 - faults / requests:.1%}" if requests else NOTHING),
        Number(
            "in flight",
            f"{sum(worker['in_flight'] for worker in workers):,}",
            f"{sum(worker['max_in_flight'] for worker in workers):,}",
        ),
        Number("database", f"{in_use}", f"{opened}" + (f", {waiting} wait" if waiting else "")),
        Number("loop lag", milliseconds(max((w["loop_lag"] for w in workers), default=None))),
        Number("outbox", f"{outstanding:,}"),
    )


def plots(state: State) -> Sequence[Plot]:
    """The three plots of the last hour."""
    samples = state.samples
    return (
        plot("requests/s", samples, lambda sample: sample.rate, rate, state.at),
        plot("p99", samples, _p99, milliseconds, state.at),
        plot("faults/s", samples, lambda sample: sample.faults / sample.seconds, rate, state.at),
    )


def _p99(sample: Sample) -> float:
    return sample.quantile(0.99) or 0.0


def rate(value: float) -> str:
    """A number a second, with as many digits as matter."""
    return f"{value:,.0f}" if value >= MIN_WHOLE or value == 0 else f"{value:.1f}"


async def index(console: Console, _: Request, operator: Operator) -> Response:
    """The overview."""
    state = await console.watcher.look()
    return await console.page("overview.html", operator, state=state, **live(state, {}))
