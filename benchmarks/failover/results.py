"""What came of a fault: seconds of failing calls, lost and doubled writes, and what must hold."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from chaos.judge import Case, missing, says_done, twice
from chaos.record import Answer, Record, Rows

from failover.faults import Fault


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one fault. `slowest` are the seconds of the slowest answer 200."""

    title: str
    is_synchronous: bool
    calls: int
    failed: int
    fails_for: float
    slowest: float
    acknowledged: int
    lost: int
    twice: int
    given_to_others: int
    restarts: int
    reasons: Mapping[str, int]
    """How often calls failed, by the status of the answer or by what the connection did."""

    notes: tuple[str, ...]
    broken: tuple[str, ...]

    def row(self) -> str:
        """A line of the table."""
        kind = "synchronous" if self.is_synchronous else "asynchronous"
        return (
            f"{self.title:42}{kind:13}{self.calls:7,}{self.failed:8,}{self.fails_for:9.1f} s"
            f"{self.slowest:8.1f} s{self.acknowledged:8,}{self.lost:6,}{self.twice:6,}"
            f"{self.restarts:9}"
        )

    def remarks(self) -> Iterator[str]:
        """What the columns do not say."""
        if self.reasons:
            yield "  " + ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())
        if self.given_to_others:
            yield f"  {self.given_to_others:,} ids of lost calls were given to others"
        yield from (f"  {text}" for text in self.notes)
        yield from (f"  NOT HELD: {text}" for text in self.broken)


def header() -> str:
    """The first line of the table."""
    return (
        f"{'fault':42}{'replication':13}{'calls':>7}{'failed':>8}{'fail for':>11}{'slowest':>10}"
        f"{'acked':>8}{'lost':>6}{'twice':>6}{'restarts':>9}"
    )


class Frame(NamedTuple):
    """What a fault is judged by, beside its calls.

    `restarts` are the processes of gateways that ended by themselves. `slack` multiplies the limits
    of seconds, for machines that have other work. `notes` and `problems` are the fault's own.
    """

    is_synchronous: bool
    restarts: int
    slack: float
    notes: Sequence[str] = ()
    problems: Sequence[str] = ()


def judge(fault: Fault, record: Record, rows: Rows, frame: Frame) -> Result:
    """The figures of a fault, and which of its limits they break."""
    case = Case(record, rows, {})
    answers = [answer for some in record.answers.values() for answer in some]
    failures = [answer for answer in answers if not says_done(answer)]
    result = Result(
        title=fault.title,
        is_synchronous=frame.is_synchronous,
        calls=len(answers),
        failed=len(failures),
        fails_for=_span(failures),
        slowest=max(answer.ended - answer.sent for answer in answers if says_done(answer)),
        acknowledged=sum(bool(record.operations[number].effect) for number in case.done),
        lost=0 if fault.goes_back else len(list(missing(case))),
        twice=0 if fault.goes_back else len(list(twice(case))),
        given_to_others=0 if fault.goes_back else _given_to_others(case),
        restarts=frame.restarts,
        reasons=Counter(_reason(answer) for answer in failures),
        notes=tuple(frame.notes),
        broken=(),
    )
    broken = (*frame.problems, *_broken(fault, result, frame.slack))
    return replace(result, broken=broken)


def _span(failures: list[Answer]) -> float:
    """The seconds from the first failing call to the last, by the moments of their sending."""
    moments = [answer.sent for answer in failures]
    return max(moments) - min(moments) if moments else 0.0


def _reason(answer: Answer) -> str:
    """What a failing call got instead of its answer."""
    return f"{answer.code} {answer.slug}" if answer.code else answer.error


def _given_to_others(case: Case) -> int:
    """How many ids of acknowledged calls are now those of other rows."""
    owners = {row_id: text for text, ids in case.rows.stages.items() for row_id in ids}
    return sum(
        owners.get(row_id, operation.text) != operation.text
        for operation in case.operations("stage")
        for row_id in case.done.get(operation.number, ())
    )


def _broken(fault: Fault, result: Result, slack: float) -> Iterator[str]:
    if result.restarts:
        yield f"{result.restarts} processes of gateways ended by themselves"
    if not result.is_synchronous:
        return
    if (result.lost or result.twice) and not fault.may_lose:
        yield "an acknowledged call is lost or was done twice"
    if fault.fails_for is not None and result.fails_for > fault.fails_for * slack:
        yield f"calls fail for {result.fails_for:.1f} s, more than {fault.fails_for * slack:g} s"
    if fault.failed is not None and result.failed > fault.failed:
        yield f"{result.failed} calls failed, more than {fault.failed}"
