"""The report of a run: tables of at most 80 columns."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from chaos import judge
from chaos.judge import Case, Finding
from chaos.record import LOST, Answer, Record
from gateway import statuses as slugs

RECOVERY = 5.0
"""Seconds after a fault in which the gateway may still refuse calls."""

MAX_LISTED = 10
COLUMNS: Mapping[str, Callable[[Answer], bool]] = {
    "200": lambda answer: answer.code == 200,
    "503": lambda answer: answer.slug == slugs.SERVICE_UNAVAILABLE,
    "409": lambda answer: answer.slug == slugs.IDEMPOTENCY_CONFLICT,
    "mail": lambda answer: answer.slug == slugs.MANDRILL_EMAIL_FAILED,
    "lost": lambda answer: answer.slug == LOST,
}


class Process(NamedTuple):
    """Memory in MiB and open descriptors of a worker; None if the system does not report them."""

    memory: float | None
    descriptors: int | None


def faults_table(record: Record) -> Iterator[str]:
    """How often each fault happened, and for how long."""
    seconds = defaultdict(list)
    for fault in record.faults:
        seconds[fault.name].append(fault.ended - fault.began)
    yield f"{'faults':36}{'times':>7}{'mean s':>9}{'max s':>8}"
    for name, times in sorted(seconds.items()):
        mean = sum(times) / len(times)
        yield f"{name:36}{len(times):7}{mean:9.1f}{max(times):8.1f}"


def calls_table(record: Record) -> Iterator[str]:
    """The answers of each kind of call; a refusal that the call must get is among the others."""
    by_kind: dict[str, list[Answer]] = defaultdict(list)
    for number, answers in record.answers.items():
        by_kind[record.operations[number].kind] += answers
        by_kind["all"] += answers
    # The last line has the sums.
    by_kind["all"] = by_kind.pop("all")
    yield f"{'calls':22}{'sent':>8}{''.join(f'{name:>8}' for name in (*COLUMNS, 'other'))}"
    for kind, answers in by_kind.items():
        counts = [sum(map(is_in_column, answers)) for is_in_column in COLUMNS.values()]
        counts.append(len(answers) - sum(counts))
        yield f"{kind:22}{len(answers):8,}{''.join(f'{count:8,}' for count in counts)}"


def writes_table(case: Case, findings: Sequence[Finding]) -> Iterator[str]:
    """The acknowledged operations of each kind, those in the database, and those done twice."""
    operations = [case.record.operations[number] for number in case.done]
    done = Counter(operation.kind for operation in operations if operation.effect)
    wrong = Counter((finding.rule, finding.kind) for finding in findings)
    yield f"{'writes':22}{'acknowledged':>14}{'present':>10}{'twice':>8}"
    for kind, count in done.items():
        present = count - wrong[judge.MISSING, kind]
        yield f"{kind:22}{count:14,}{present:10,}{wrong[judge.TWICE, kind]:8,}"
    count = len(case.record.applied)
    yield f"{'apply':22}{count:14,}{count - wrong[judge.REGISTRY, '']:10,}{0:8,}"


def mail_line(case: Case) -> str:
    """The committed mails, and how often they arrived."""
    sent = sum(mail.state == "sent" for mail in case.rows.mails.values())
    arrived = case.record.arrivals
    repeats = arrived.total() - len(arrived)
    return (
        f"mails: {len(case.rows.mails):,} committed, {sent:,} sent, "
        f"{arrived.total():,} arrivals, {repeats:,} of them repeats"
    )


def refusals_line(record: Record) -> str:
    """The calls that were refused although no fault was near."""
    refused = [
        answer
        for answers in record.answers.values()
        for answer in answers
        if answer.slug == slugs.SERVICE_UNAVAILABLE and not _is_near_fault(record, answer)
    ]
    return f"503 more than {RECOVERY:g} s after every fault: {len(refused):,}"


def _is_near_fault(record: Record, answer: Answer) -> bool:
    return any(
        fault.began <= answer.ended and answer.sent <= fault.ended + RECOVERY
        for fault in record.faults
    )


def processes_line(name: str, processes: Iterable[Process]) -> str:
    """The memory and the descriptors of the workers at one moment."""
    texts = [
        f"{one.memory:.0f} MiB, {one.descriptors} descriptors" if one.memory else "unknown"
        for one in processes
    ]
    return f"workers {name}: {'; '.join(texts)}"


def findings_list(findings: Sequence[Finding]) -> Iterator[str]:
    """What was wrong, by rule, with the first cases of each."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_rule[finding.rule].append(finding)
    for rule, some in by_rule.items():
        yield f"{rule}: {len(some)}"
        for one in some[:MAX_LISTED]:
            text = " ".join(filter(None, (one.kind, one.text)))
            yield textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="    ")


def report(
    case: Case, findings: Sequence[Finding], workers: Mapping[str, Iterable[Process]]
) -> Iterator[str]:
    """All tables, and what was wrong."""
    yield from ("", *faults_table(case.record), "", *calls_table(case.record), "")
    yield from (*writes_table(case, findings), "", mail_line(case), refusals_line(case.record))
    yield from (processes_line(name, processes) for name, processes in workers.items())
    yield from ("", *findings_list(findings))
