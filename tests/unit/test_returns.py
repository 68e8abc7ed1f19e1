"""Answers are checked against `returns`: each of them, a sample, or none."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from support.builders import request, route
from support.harness import logged

from gateway.registry.records import Route
from gateway.registry.schema import interned
from gateway.runtime import events
from gateway.stages.returns import MAX_SAMPLE, AnswerMisfitError, ReturnsCheck
from gateway.values import Reply, Request

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}},
}
FIT = Reply({"id": 5, "at": "2026-05-04T12:00:00+00:00"})
MISFIT = Reply({"id": "a text that must not reach any log"})
RULE = "/properties/id/type"


def promised(name: str = "things.create", schema: Any = SCHEMA) -> Route:
    return route(name=name, returns=interned(orjson.dumps(schema).decode()))


def at(second: float = 1000.0) -> Request:
    """A request that arrived at this second."""
    return request()._replace(received_at=second)


def rules(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    misfits = logged(caplog, events.REQUEST_ANSWER_MISFIT)
    return [(misfit["route"], misfit["rule"]) for misfit in misfits]


def test_check_of_all_answers_refuses_every_misfit(caplog: pytest.LogCaptureFixture) -> None:
    check = ReturnsCheck("all")
    for _ in range(2):
        with pytest.raises(AnswerMisfitError) as refused:
            check.check(MISFIT, promised(), at())
        assert str(refused.value) == RULE
    assert check.check(FIT, promised(), at()) is FIT
    assert not caplog.records


def test_check_judges_an_answer_as_the_client_reads_it() -> None:
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    fits: list[Any] = [{"id": 5, "at": noon}, {"id": orjson.Fragment(b"5")}, {}]
    for data in fits:
        ReturnsCheck("all").check(Reply(data), promised(), at())
    misfits: list[Any] = [{"at": "noon"}, {"id": orjson.Fragment(b'"5"')}, [], None]
    for data in misfits:
        with pytest.raises(AnswerMisfitError):
            ReturnsCheck("all").check(Reply(data), promised(), at())


def test_check_of_a_sample_reports_a_misfit_and_passes_it_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ReturnsCheck("sample").check(MISFIT, promised(), at()) is MISFIT
    [misfit] = logged(caplog, events.REQUEST_ANSWER_MISFIT)
    assert misfit == {"request_id": "request-1", "route": "things.create", "rule": RULE}


def test_check_of_a_sample_happens_once_a_second_for_each_route(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check = ReturnsCheck("sample")
    for second in (1000.0, 1000.0, 1000.999):
        check.check(MISFIT, promised("things.a"), at(second))
    check.check(MISFIT, promised("things.b"), at(1000.0))
    assert rules(caplog) == [("things.a", RULE), ("things.b", RULE)]
    check.check(MISFIT, promised("things.a"), at(1001.0))
    assert rules(caplog)[2:] == [("things.a", RULE)]


def test_check_of_a_sample_leaves_out_large_answers(caplog: pytest.LogCaptureFixture) -> None:
    texts = {"type": "array", "items": {"type": "integer"}}
    empty = len(orjson.dumps([""]))
    for length, is_checked in ((MAX_SAMPLE - empty, True), (MAX_SAMPLE - empty + 1, False)):
        caplog.clear()
        large = Reply(["x" * length])
        ReturnsCheck("sample").check(large, promised(schema=texts), at())
        assert bool(rules(caplog)) is is_checked
        with pytest.raises(AnswerMisfitError):
            ReturnsCheck("all").check(large, promised(schema=texts), at())


def test_check_names_no_value_and_no_unknown_key(caplog: pytest.LogCaptureFixture) -> None:
    secret = Reply({"id": 5, "a-secret-key": "a secret value"})
    ReturnsCheck("sample").check(secret, promised(), at())
    with pytest.raises(AnswerMisfitError) as refused:
        ReturnsCheck("all").check(secret, promised(), at())
    shown = f"{caplog.text} {[vars(record) for record in caplog.records]} {refused.value}"
    assert rules(caplog) == [("things.create", "/additionalProperties")]
    assert "secret" not in shown


def test_check_of_no_answer_passes_every_misfit_on(caplog: pytest.LogCaptureFixture) -> None:
    assert ReturnsCheck("none").check(MISFIT, promised(), at()) is MISFIT
    assert not caplog.records


@pytest.mark.parametrize("mode", ["all", "sample", "none"])
def test_check_of_a_route_without_returns_does_nothing(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert ReturnsCheck(mode).check(MISFIT, route(), at()) is MISFIT
    assert not caplog.records
