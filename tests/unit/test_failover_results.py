"""What `make cluster` says of a fault: the judge of its limits."""

from chaos.record import Answer, Operation, Record, Rows
from failover.faults import FAULTS
from failover.results import Frame, Result, judge

SYNCHRONOUS = Frame(is_synchronous=True, restarts=0, slack=1.0)
ASYNCHRONOUS = SYNCHRONOUS._replace(is_synchronous=False)


def stage(number: int) -> Operation:
    kind = "create without a key"
    text = f"call {number}"
    return Operation(
        number, kind, "order_stages.create", b"", frozenset(), effect="stage", text=text
    )


def done(sent: float, row_id: int) -> Answer:
    return Answer(sent=sent, ended=sent + 0.1, slug="action-successful", code=200, row_id=row_id)


def refused(sent: float) -> Answer:
    return Answer(sent=sent, ended=sent + 0.1, slug="service-unavailable", code=503)


def result(
    answers: dict[int, list[Answer]],
    stages: dict[str, list[int]],
    frame: Frame = SYNCHRONOUS,
    fault: str = "kill",
) -> Result:
    record = Record()
    for number, some in answers.items():
        for answer in some:
            record.add(stage(number), answer)
    rows = Rows(stages, {}, frozenset(), frozenset(), {})
    return judge(FAULTS[fault], record, rows, frame)


def test_failover_result_counts_what_was_lost_and_done_twice() -> None:
    answers = {1: [done(0, 11)], 2: [done(1, 12)], 3: [done(2, 13)]}
    found = result(answers, {"call 1": [11], "call 2": [12, 15]})
    assert (found.acknowledged, found.lost, found.twice) == (3, 1, 1)
    assert found.broken == ("an acknowledged call is lost or was done twice",)


def test_failover_result_allows_asynchronous_replication_to_lose_calls() -> None:
    found = result(
        {1: [done(0, 11)], 2: [done(1, 12)]}, {"call 2": [12], "later": [11]}, ASYNCHRONOUS
    )
    assert (found.lost, found.given_to_others, found.broken) == (1, 1, ())
    assert list(found.remarks()) == ["  1 ids of lost calls were given to others"]


def test_failover_result_measures_from_the_first_failing_call_to_the_last() -> None:
    answers = {1: [refused(3), refused(9.5), done(10, 11)], 2: [done(0, 12)]}
    found = result(answers, {"call 1": [11], "call 2": [12]})
    assert (found.calls, found.failed, found.fails_for) == (4, 2, 6.5)
    assert found.reasons == {"503 service-unavailable": 2}
    assert found.broken == ("calls fail for 6.5 s, more than 6 s",)


def test_failover_result_has_slack_for_a_busy_machine() -> None:
    answers = {1: [refused(3), refused(9.5), done(10, 11)]}
    assert result(answers, {"call 1": [11]}, SYNCHRONOUS._replace(slack=2.0)).broken == ()


def test_failover_result_of_a_rolling_restart_allows_no_failing_call() -> None:
    found = result({1: [refused(3)], 2: [done(0, 12)]}, {"call 2": [12]}, fault="rolling")
    assert found.broken == ("1 calls failed, more than 0",)


def test_failover_result_allows_no_gateway_to_end_by_itself() -> None:
    for frame in (SYNCHRONOUS, ASYNCHRONOUS):
        found = result({1: [done(0, 11)]}, {"call 1": [11]}, frame._replace(restarts=1))
        assert found.broken == ("1 processes of gateways ended by themselves",)
