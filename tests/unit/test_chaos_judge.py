"""The judge of `make chaos` finds each thing that the gateway must not do, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from chaos import judge
from chaos.judge import Finding
from chaos.operations import Operations
from chaos.record import LOST, Answer, Happened, Mail, Record, Rows

from gateway import statuses

TOKENS = dict.fromkeys(("application", "employee", "client", "nobody", "expired"), "token")
OPERATIONS = Operations("run", TOKENS)
STAGE = OPERATIONS.stage(order=7, caller="employee", is_keyed=True, has_mail=True)
STATUS = OPERATIONS.status()
OLD_COLOR, NEW_COLOR = OPERATIONS.color(5), OPERATIONS.color(5)
DELETED = OPERATIONS.no_status(6)
LOG_IN = OPERATIONS.log_in("client@example.com")
LOG_OUT = OPERATIONS.log_out(8, "token")
MISTAKE, *_ = OPERATIONS.refused()

DOCUMENTED = dict.fromkeys(
    ("", *(operation.route for operation in (STAGE, STATUS, NEW_COLOR, DELETED, LOG_IN, LOG_OUT))),
    statuses.COMMON,
)
ROWS = Rows(
    stages={STAGE.text: [1]},
    statuses={4: (STATUS.text, "EC451F"), 5: ("five", NEW_COLOR.text)},
    sessions=frozenset((7,)),
    revisions=frozenset((1, 2)),
    mails={3: Mail(stage=1, state="sent")},
)


def answer(slug: str = statuses.ACTION_SUCCESSFUL, at: float = 0, **fields: Any) -> Answer:
    """An answer with the code of its slug, sent at `at` and received a second later."""
    code = statuses.COMMON[slug].http if slug in statuses.COMMON else 0
    given = Answer(sent=at, ended=at + 1, slug=slug, code=code, stated=code)
    return given._replace(**fields)


def right() -> Record:
    """A record of a run in which nothing was wrong, though an answer was lost and a mail late."""
    record = Record()
    record.kills.append(Happened("worker", 10, 11))
    record.add(STAGE, answer(LOST, at=10.5, error="closed"))
    record.add(STAGE, answer(statuses.IDEMPOTENCY_CONFLICT))
    record.add(STAGE, answer(statuses.MANDRILL_EMAIL_FAILED))
    record.add(STAGE, answer(row_id=1))
    record.add(STATUS, answer(row_id=4))
    record.add(OLD_COLOR, answer())
    record.add(NEW_COLOR, answer())
    record.add(DELETED, answer(statuses.SERVICE_UNAVAILABLE))
    record.add(DELETED, answer(statuses.INVALID_PARAM))
    record.add(LOG_IN, answer(row_id=7))
    record.add(LOG_OUT, answer())
    record.add(MISTAKE, answer(statuses.MISSING_PARAM))
    record.arrivals[3] = 2
    record.applied.append(2)
    return record


def findings(record: Record, rows: Rows = ROWS) -> list[Finding]:
    return judge.judge(record, rows, DOCUMENTED)


def rules(record: Record, rows: Rows = ROWS) -> list[str]:
    return [finding.rule for finding in findings(record, rows)]


def test_judge_finds_nothing_wrong_with_a_run_that_was_right() -> None:
    assert findings(right()) == []


LOSSES: dict[str, Rows] = {
    "a stage": replace(ROWS, stages={}),
    "the stage of the answer": replace(ROWS, stages={STAGE.text: [9]}, mails={}),
    "a status": replace(ROWS, statuses={5: ROWS.statuses[5]}),
    "an update": replace(ROWS, statuses={**ROWS.statuses, 5: ("five", OLD_COLOR.text)}),
    "the row of an update": replace(ROWS, statuses={4: ROWS.statuses[4]}),
    "a log-in": replace(ROWS, sessions=frozenset()),
    "a log-out": replace(ROWS, sessions=frozenset((7, 8))),
}


@pytest.mark.parametrize("rows", LOSSES.values(), ids=LOSSES)
def test_judge_finds_an_acknowledged_write_that_is_missing(rows: Rows) -> None:
    assert judge.MISSING in rules(right(), rows)


def test_judge_finds_a_deleted_row_that_is_still_there() -> None:
    record = right()
    record.add(DELETED, answer())
    rows = replace(ROWS, statuses={**ROWS.statuses, 6: ("six", "EC451F")})
    assert rules(record, rows) == [judge.MISSING]


def test_judge_accepts_a_late_mail_only_if_its_stage_is_there() -> None:
    record = Record()
    record.add(STAGE, answer(statuses.MANDRILL_EMAIL_FAILED))
    assert judge.MISSING in rules(record, replace(ROWS, stages={}, mails={}))


def test_judge_accepts_an_earlier_color_only_if_its_outcome_was_unknown() -> None:
    record = right()
    rows = replace(ROWS, statuses={**ROWS.statuses, 5: ("five", OLD_COLOR.text)})
    record.answers[OLD_COLOR.number].insert(0, answer(statuses.SERVICE_UNAVAILABLE))
    assert findings(record, rows) == []


def test_judge_finds_work_that_was_done_twice() -> None:
    assert rules(right(), replace(ROWS, stages={STAGE.text: [1, 2]})) == [judge.TWICE]
    statuses_ = {**ROWS.statuses, 9: (STATUS.text, "EC451F")}
    assert rules(right(), replace(ROWS, statuses=statuses_)) == [judge.TWICE]


def test_judge_finds_two_answers_that_show_different_rows() -> None:
    record = right()
    record.add(STAGE, answer(row_id=2))
    assert judge.TWICE in rules(record)


def test_judge_finds_a_row_of_a_call_that_was_refused() -> None:
    rows = replace(ROWS, stages={**ROWS.stages, "refused": [5]})
    assert rules(right(), rows) == [judge.UNASKED]


def test_judge_finds_a_mail_that_was_not_sent_or_did_not_arrive() -> None:
    assert rules(right(), replace(ROWS, mails={3: Mail(1, "parked")})) == [judge.MAIL]
    assert rules(right(), replace(ROWS, mails={})) == [judge.MAIL]
    record = right()
    record.arrivals.clear()
    assert rules(record) == [judge.MAIL]


WRONG_ANSWERS: dict[str, tuple[Answer, str]] = {
    "a slug of no catalogue": (answer("surprise", code=418, stated=418), judge.UNDOCUMENTED),
    "another code": (answer(row_id=1, code=201, stated=201), judge.UNDOCUMENTED),
    "another code in the body": (answer(row_id=1, stated=201), judge.UNDOCUMENTED),
    "a crash": (answer(statuses.APPLICATION_CRASH), judge.UNEXPECTED),
    "a good token refused": (answer(statuses.INVALID_TOKEN), judge.UNEXPECTED),
}


@pytest.mark.parametrize(("wrong", "rule"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_judge_finds_a_status_that_is_undocumented_or_unexpected(wrong: Answer, rule: str) -> None:
    record = right()
    record.add(STAGE, wrong)
    assert rules(record) == [rule]


def test_judge_allows_the_refusal_of_a_repeat_but_not_of_the_first_call() -> None:
    record = Record()
    record.add(LOG_OUT, answer(statuses.INVALID_TOKEN))
    assert judge.UNEXPECTED in rules(record)


def test_judge_finds_a_call_with_a_mistake_that_succeeded() -> None:
    record = right()
    record.add(MISTAKE, answer())
    assert rules(record) == [judge.UNEXPECTED]


def test_judge_finds_a_connection_that_broke_without_a_kill() -> None:
    record = right()
    record.add(STAGE, answer(LOST, at=12, error="closed"))
    assert rules(record) == [judge.BROKEN]


def test_judge_finds_a_call_that_never_got_its_answer() -> None:
    record = right()
    del record.answers[STAGE.number][-1]
    assert judge.UNFINISHED in rules(record)


OTHERS: dict[str, tuple[Callable[[Record], None], Rows, str]] = {
    "a revision": (lambda record: record.applied.append(3), ROWS, judge.REGISTRY),
    "a process": (lambda record: record.problems.append("degraded"), ROWS, judge.PROCESS),
    "a torn order": (lambda _: None, replace(ROWS, torn=[7]), judge.TORN),
}


@pytest.mark.parametrize(("change", "rows", "rule"), OTHERS.values(), ids=OTHERS)
def test_judge_finds_what_is_wrong_with_registry_processes_and_orders(
    change: Callable[[Record], None], rows: Rows, rule: str
) -> None:
    record = right()
    change(record)
    assert rules(record, rows) == [rule]


def test_judge_is_not_content_with_a_run_in_which_nothing_succeeded() -> None:
    assert rules(Record(), Rows({}, {}, frozenset(), frozenset(), {})) == [judge.UNFINISHED]
