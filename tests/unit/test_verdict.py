"""The verdict in words: a pure function of the state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.monitoring.state import Notice, Sample, State, WorkerView
from gateway.monitoring.verdict import judge
from gateway.runtime.windows import BOUNDS

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
EMPTY = [0] * (len(BOUNDS) + 1)


def worker(index: int = 0, **changes: Any) -> WorkerView:
    figures = {"machine": "one", "index": index, "loop_lag": 0.001}
    figures["started_at"] = (NOW - timedelta(hours=5)).isoformat()
    figures |= changes.pop("figures", {})
    values = {"revision": 12, "problem": None, "seen_at": NOW, "alive": True, **changes}
    return WorkerView(name=f"one:{100 + index}", figures=figures, **values)


def notice(**changes: Any) -> Notice:
    values: dict[str, Any] = {
        "id": 3,
        "kind": "mandrill-email-failed",
        "severity": "error",
        "message": "A mail of the template x was not sent: unknown template",
        "route": "order_stages.create",
        "request_id": "r1",
        "first_seen": NOW - timedelta(minutes=9),
        "last_seen": NOW,
        "count": 14,
        "messages": 14,
        "fold": "x",
    }
    return Notice(**{**values, **changes})


def sample(requests: int, faults: int = 0, **ago: float) -> Sample:
    values = {"requests": requests, "faults": {"gateway": faults}, "seconds": 5, "routes": {}}
    return Sample(NOW - timedelta(**(ago or {"seconds": 5})), {**values, "durations": EMPTY})


WELL = State(
    at=NOW,
    workers=[worker(0), worker(1)],
    samples=[sample(1000)],
    open=[],
    open_count=0,
    resolved=[],
    outbox={},
    newest=12,
    applied_at=NOW - timedelta(hours=1),
)


def titles(state: State) -> list[str]:
    return [finding.title for finding in judge(state).findings]


def test_verdict_is_well_since_the_first_worker_started() -> None:
    verdict = judge(WELL)
    assert (verdict.level, verdict.findings) == ("good", [])
    assert verdict.since == NOW - timedelta(hours=5)


LATE = worker(1, revision=11)
OLD = {"started_at": (NOW - timedelta(hours=9)).isoformat()}
NEW = {"started_at": (NOW - timedelta(minutes=1)).isoformat()}
SILENT = worker(1, alive=False, seen_at=NOW - timedelta(seconds=6), figures=OLD)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"problem": "no answer"}, "The database does not answer"),
        ({"open": [notice()], "open_count": 1}, "Mail fails"),
        ({"open_count": 3}, "3 more notifications are open"),
        ({"workers": [worker(0), SILENT]}, "A worker does not report"),
        ({"workers": []}, "No worker reports"),
        ({"workers": [worker(0), LATE]}, "Workers are late"),
        ({"workers": [worker(0, problem="cannot build")]}, "A worker is late"),
        ({"samples": [sample(1000, 20)]}, "2% of requests fail"),
        ({"outbox": {"parked": 2, "waiting": 9}}, "2 messages parked"),
        ({"workers": [worker(0, figures={"loop_lag": 0.4})]}, "Calls wait for a busy worker"),
    ],
)
def test_verdict_names_what_is_wrong(changes: dict[str, Any], expected: str) -> None:
    assert titles(replace(WELL, **changes)) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": [worker(0), LATE], "applied_at": NOW - timedelta(seconds=2)},
        {"samples": [sample(1000, 5)]},
        {"samples": [sample(1, 1)]},
        {"samples": [sample(1000, 900, minutes=3)]},
        {"workers": [worker(0), SILENT, worker(1, figures=NEW)]},
        {"problem": None, "outbox": {"waiting": 9}},
    ],
)
def test_verdict_is_well_in_spite_of_what_is_normal(changes: dict[str, Any]) -> None:
    assert titles(replace(WELL, **changes)) == []


def test_verdict_says_how_much_since_when_and_where() -> None:
    [finding] = judge(replace(WELL, open=[notice()], open_count=1)).findings
    assert finding.detail.startswith("order_stages.create · A mail of the template x")
    assert finding.detail.endswith("14 messages not sent")
    assert finding.since == NOW - timedelta(minutes=9)
    assert finding.page == "notifications#notification.3"


def test_verdict_begins_with_the_worst() -> None:
    slight = notice(id=4, kind="answer-misfit", severity="warning", messages=0)
    state = replace(WELL, open=[slight, notice()], open_count=2)
    assert titles(state) == ["Mail fails", "Answers do not fit `returns`"]
    assert judge(state).level == "bad"


def test_verdict_says_what_is_over() -> None:
    ended = NOW - timedelta(minutes=2)
    resolved = {
        "id": 3,
        "kind": "mandrill-email-failed",
        "route": "order_stages.create",
        "message": "x",
        "resolved_at": ended.isoformat(),
        "resolved_by": "gateway",
    }
    verdict = judge(replace(WELL, resolved=[resolved]))
    assert [finding.title for finding in verdict.over] == ["Mail fails"]
    assert verdict.since == ended
    replaced = replace(WELL, workers=[worker(0), SILENT, worker(1, figures=NEW)])
    assert [finding.title for finding in judge(replaced).over] == ["A worker died"]


def test_worker_that_died_before_its_first_report_was_replaced_by_a_later_one() -> None:
    seen_at = NOW - timedelta(minutes=1)
    silent = replace(worker(), figures={}, name="one:7", seen_at=seen_at, alive=False)
    [finding] = judge(replace(WELL, workers=[silent, worker(0), worker(1)])).findings
    assert finding.title == "A worker does not report"
    replaced = replace(WELL, workers=[silent, worker(0), worker(1, figures=NEW)])
    assert [finding.title for finding in judge(replaced).over] == ["A worker died"]
