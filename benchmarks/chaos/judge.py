"""The judge: compares what callers were told with what the database holds. It only reads."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from chaos.record import LOST, Answer, Effect, Record, Rows, Work
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

    `done` maps the number of each acknowledged work to the ids of the rows that its answers showed.
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
        self.deleted = {work.row_id for work in self.works("no status")}
        self.logged_out = {work.row_id for work in self.works("no session")}
        self.colors = self._possible_colors()

    def works(self, effect: Effect) -> Iterator[Work]:
        """The works with an effect, in the order of their first answers."""
        return (work for work in self.record.works.values() if work.effect == effect)

    def _possible_colors(self) -> Mapping[int, set[str]]:
        """The colors that each status may have at the end.

        They are the last acknowledged one, and those whose outcome was unknown for a time: the
        server may have executed such an update late.
        """
        last, unknown = {}, defaultdict(set)
        for work in self.works("color"):
            if work.number in self.done:
                last[work.row_id] = work.text
            if any(map(_is_unknown, self.record.answers[work.number])):
                unknown[work.row_id].add(work.text)
        return {row_id: unknown[row_id] | {color} for row_id, color in last.items()}


def says_done(answer: Answer) -> bool:
    """Whether an answer says that the work is committed: also if only its mail is late."""
    return answer.code == 200 or answer.slug == slugs.MANDRILL_EMAIL_FAILED


def _is_unknown(answer: Answer) -> bool:
    return answer.slug in {LOST, slugs.SERVICE_UNAVAILABLE}


def _has_stage(case: Case, work: Work, ids: set[int]) -> bool:
    found = set(case.rows.stages.get(work.text, ()))
    return bool(found) and ids <= found


def _has_status(case: Case, work: Work, ids: set[int]) -> bool:
    return ids <= case.status_ids[work.text] | case.deleted


def _has_color(case: Case, work: Work, _: set[int]) -> bool:
    row = case.rows.statuses.get(work.row_id)
    return row[1] in case.colors[work.row_id] if row else work.row_id in case.deleted


def _has_session(case: Case, _: Work, ids: set[int]) -> bool:
    return ids <= case.rows.sessions | case.logged_out


_IS_PRESENT: Mapping[Effect, Callable[[Case, Work, set[int]], bool]] = {
    "": lambda *_: True,
    "stage": _has_stage,
    "status": _has_status,
    "color": _has_color,
    "session": _has_session,
    "no status": lambda case, work, _: work.row_id not in case.rows.statuses,
    "no session": lambda case, work, _: work.row_id not in case.rows.sessions,
}


def missing(case: Case) -> Iterator[Finding]:
    """Every acknowledged write is in the database."""
    for number, ids in case.done.items():
        work = case.record.works[number]
        if not _IS_PRESENT[work.effect](case, work, ids):
            yield Finding(MISSING, work.kind, f"call {number}, rows {sorted(ids)}")


def twice(case: Case) -> Iterator[Finding]:
    """No work is executed twice, however often it was requested."""
    written = {"stage": case.rows.stages, "status": case.status_ids}
    for work in case.record.works.values():
        found = set(written[work.effect].get(work.text, ())) if work.effect in written else set()
        ids = found | (case.done.get(work.number, set()) if work.effect in written else set())
        if len(ids) > 1:
            yield Finding(TWICE, work.kind, f"call {work.number}, rows {sorted(ids)}")


def unasked(case: Case) -> Iterator[Finding]:
    """No refused call writes a row."""
    texts = {work.text for work in case.works("stage")}
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
    for work in case.works("stage"):
        ids = case.done.get(work.number, set())
        if work.has_mail and ids and not ids & stages:
            yield Finding(MAIL, work.kind, f"call {work.number} has no message")


def statuses(case: Case) -> Iterator[Finding]:
    """Each answer is documented for its route, with its code, and right for its call."""
    for number, answers in case.record.answers.items():
        work, allowed = case.record.works[number], frozenset[str]()
        for answer in answers:
            allowed |= work.allowed_again if allowed else work.allowed
            if answer.slug != LOST and (rule := _wrong(case, work, answer, allowed)):
                text = f"call {number}: {answer.code} {answer.slug}{_near(case, answer)}"
                yield Finding(rule, work.kind, text)


def _wrong(case: Case, work: Work, answer: Answer, allowed: frozenset[str]) -> str:
    """The rule that an answer breaks; empty if none."""
    status = case.documented[work.route].get(answer.slug)
    if status is None or not status.http == answer.code == answer.stated:
        return UNDOCUMENTED
    return "" if answer.slug in allowed else UNEXPECTED


def broken(case: Case) -> Iterator[Finding]:
    """A connection breaks only while a process of the gateway is being killed."""
    for number, answers in case.record.answers.items():
        for answer in answers:
            if answer.slug == LOST and not _overlaps_kill(case, answer):
                kind = case.record.works[number].kind
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
        work = case.record.works[number]
        if work.final and not any(answer.slug in work.final for answer in answers):
            yield Finding(UNFINISHED, work.kind, f"call {number}: last answer {answers[-1].slug}")


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
