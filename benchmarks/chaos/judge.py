"""The judge: compares what callers were told with what the database holds. It only reads."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from chaos.record import LOST, Answer, Effect, Operation, Record, Rows
from gateway import statuses as slugs
from gateway.statuses import Status

Documented: TypeAlias = Mapping[str, Mapping[str, Status]]
"""The statuses of each route by slug; those of the route `""` are the common catalogue."""

NEAR = 1.0
"""Seconds around a fault that count as near."""

MISSING = "missing write"
TWICE = "double write"
UNASKED = "written by a refused call"
MAIL = "missing mail"
UNDOCUMENTED = "undocumented status"
UNEXPECTED = "unexpected status"
BROKEN = "broken connection"
UNFINISHED = "no final answer"
REGISTRY = "missing revision"
TORN = "order in two states"
PROCESS = "process"


class Finding(NamedTuple):
    """Something that was wrong: the rule that it breaks, the kind of call, and the details."""

    rule: str
    kind: str
    text: str


class Case:
    """The record of a run, and the rows at its end.

    `done` maps the number of each acknowledged operation to the ids of the rows in its answers.
    """

    def __init__(self, record: Record, rows: Rows, documented: Documented) -> None:
        self.record = record
        self.rows = rows
        self.documented = documented
        self.done = {
            number: {answer.row_id for answer in answers if says_done(answer)} - {0}
            for number, answers in record.answers.items()
            if any(map(says_done, answers))
        }
        self.status_ids: defaultdict[str, set[int]] = defaultdict(set)
        for row_id, (name, _) in rows.statuses.items():
            self.status_ids[name].add(row_id)
        self.deleted = {operation.row_id for operation in self.operations("no status")}
        self.logged_out = {operation.row_id for operation in self.operations("no session")}
        self.colors = self._possible_colors()

    def operations(self, effect: Effect) -> Iterator[Operation]:
        """The operations with an effect, in the order of their first answers."""
        return (
            operation for operation in self.record.operations.values() if operation.effect == effect
        )

    def _possible_colors(self) -> Mapping[int, set[str]]:
        """The colors that each status may have at the end.

        They are the last acknowledged one, and those whose outcome was unknown for a time: the
        server may have executed such an update late.
        """
        last, unknown = {}, defaultdict(set)
        for operation in self.operations("color"):
            if operation.number in self.done:
                last[operation.row_id] = operation.text
            if any(map(_is_unknown, self.record.answers[operation.number])):
                unknown[operation.row_id].add(operation.text)
        return {row_id: unknown[row_id] | {color} for row_id, color in last.items()}


def says_done(answer: Answer) -> bool:
    """Whether an answer says that the operation is committed: also if only its mail is late."""
    return answer.code == 200 or answer.slug == slugs.MANDRILL_EMAIL_FAILED


def _is_unknown(answer: Answer) -> bool:
    return answer.slug in {LOST, slugs.SERVICE_UNAVAILABLE}


def _has_stage(case: Case, operation: Operation, ids: set[int]) -> bool:
    found = set(case.rows.stages.get(operation.text, ()))
    return bool(found) and ids <= found


def _has_status(case: Case, operation: Operation, ids: set[int]) -> bool:
    return ids <= case.status_ids[operation.text] | case.deleted


def _has_color(case: Case, operation: Operation, _: set[int]) -> bool:
    row = case.rows.statuses.get(operation.row_id)
    return row[1] in case.colors[operation.row_id] if row else operation.row_id in case.deleted


def _has_session(case: Case, _: Operation, ids: set[int]) -> bool:
    return ids <= case.rows.sessions | case.logged_out


_IS_PRESENT: Mapping[Effect, Callable[[Case, Operation, set[int]], bool]] = {
    "": lambda *_: True,
    "stage": _has_stage,
    "status": _has_status,
    "color": _has_color,
    "session": _has_session,
    "no status": lambda case, operation, _: operation.row_id not in case.rows.statuses,
    "no session": lambda case, operation, _: operation.row_id not in case.rows.sessions,
}


def missing(case: Case) -> Iterator[Finding]:
    """Every acknowledged write is in the database."""
    for number, ids in case.done.items():
        operation = case.record.operations[number]
        if not _IS_PRESENT[operation.effect](case, operation, ids):
            yield Finding(MISSING, operation.kind, f"call {number}, rows {sorted(ids)}")


def twice(case: Case) -> Iterator[Finding]:
    """No operation is executed twice, however often it was requested."""
    written = {"stage": case.rows.stages, "status": case.status_ids}
    for operation in case.record.operations.values():
        found = (
            set(written[operation.effect].get(operation.text, ()))
            if operation.effect in written
            else set()
        )
        ids = found | (
            case.done.get(operation.number, set()) if operation.effect in written else set()
        )
        if len(ids) > 1:
            yield Finding(TWICE, operation.kind, f"call {operation.number}, rows {sorted(ids)}")


def unasked(case: Case) -> Iterator[Finding]:
    """No refused call writes a row."""
    texts = {operation.text for operation in case.operations("stage")}
    for text, ids in case.rows.stages.items():
        if text not in texts:
            yield Finding(UNASKED, "create a stage", f"rows {list(ids)}, notes {text!r}")


def unsent(case: Case) -> Iterator[Finding]:
    """Each committed mail is sent at least once, and each acknowledged stage has its mail."""
    stages = set()
    for message, mail in case.rows.mails.items():
        stages.add(mail.stage)
        if mail.state != "sent" or not case.record.arrivals[message]:
            times = case.record.arrivals[message]
            yield Finding(MAIL, "", f"message {message} is {mail.state}, arrived {times} times")
    for operation in case.operations("stage"):
        ids = case.done.get(operation.number, set())
        if operation.has_mail and ids and not ids & stages:
            yield Finding(MAIL, operation.kind, f"call {operation.number} has no message")


def statuses(case: Case) -> Iterator[Finding]:
    """Each answer is documented for its route, with its code, and right for its call."""
    for number, answers in case.record.answers.items():
        operation, allowed = case.record.operations[number], frozenset[str]()
        for answer in answers:
            allowed |= operation.allowed_again if allowed else operation.allowed
            if answer.slug != LOST and (rule := _wrong(case, operation, answer, allowed)):
                text = f"call {number}: {answer.code} {answer.slug}{_near(case, answer)}"
                yield Finding(rule, operation.kind, text)


def _wrong(case: Case, operation: Operation, answer: Answer, allowed: frozenset[str]) -> str:
    """The rule that an answer breaks; empty if none."""
    status = case.documented[operation.route].get(answer.slug)
    if status is None or not status.http == answer.code == answer.stated:
        return UNDOCUMENTED
    return "" if answer.slug in allowed else UNEXPECTED


def broken(case: Case) -> Iterator[Finding]:
    """A connection breaks only while a process of the gateway is being killed."""
    for number, answers in case.record.answers.items():
        for answer in answers:
            if answer.slug == LOST and not _overlaps_kill(case, answer):
                kind = case.record.operations[number].kind
                text = f"call {number}: {answer.error}{_near(case, answer)}"
                yield Finding(BROKEN, kind, text)


def _overlaps_kill(case: Case, answer: Answer) -> bool:
    return any(
        answer.sent <= kill.ended and kill.began <= answer.ended for kill in case.record.kills
    )


def _near(case: Case, answer: Answer) -> str:
    """The faults around an answer, for the text of a finding."""
    names = [
        fault.name
        for fault in case.record.faults
        if answer.sent <= fault.ended + NEAR and fault.began - NEAR <= answer.ended
    ]
    return f", near {'; '.join(names)}" if names else ", near no fault"


def unfinished(case: Case) -> Iterator[Finding]:
    """A caller that repeats its call gets its final answer."""
    for number, answers in case.record.answers.items():
        operation = case.record.operations[number]
        if operation.final and not any(answer.slug in operation.final for answer in answers):
            yield Finding(
                UNFINISHED, operation.kind, f"call {number}: last answer {answers[-1].slug}"
            )


def others(case: Case) -> Iterator[Finding]:
    """The registry, the status of each order, and the processes are as they should be."""
    for revision in case.record.applied:
        if revision not in case.rows.revisions:
            yield Finding(REGISTRY, "", f"revision {revision} was applied and is missing")
    for request in case.rows.torn:
        yield Finding(TORN, "", f"order request {request}: its status is not its newest stage")
    for problem in case.record.problems:
        yield Finding(PROCESS, "", problem)
    if not case.done:
        yield Finding(UNFINISHED, "", "no call was acknowledged")


RULES = (missing, twice, unasked, unsent, statuses, broken, unfinished, others)


def judge(record: Record, rows: Rows, documented: Documented) -> list[Finding]:
    """Everything that was wrong in a run."""
    case = Case(record, rows, documented)
    return [finding for rule in RULES for finding in rule(case)]
