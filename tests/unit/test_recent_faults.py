"""The ring of recent faults."""

from gateway.monitoring.recent import MAX_FAULTS, MAX_LINE, MAX_LINES, MAX_OF_ROUTE, RecentFaults
from gateway.runtime import events


def crash(
    recent: RecentFaults, request_id: str, route: str = "a.b", error: str = "KeyError"
) -> None:
    fields = {"request_id": request_id, "route": route, "error": error, "place": "a.py:1"}
    recent.read(events.REQUEST_CRASHED, fields)
    recent.add(route, request_id, "application-crash", 500)


def test_fault_has_the_log_line_of_its_request() -> None:
    recent = RecentFaults()
    crash(recent, "r1")
    recent.add("a.b", "r2", "service-timeout", 504)
    by_id = {fault["request_id"]: fault for fault in recent.newest()}
    assert '"event":"request.crashed"' in by_id["r1"]["line"]
    assert by_id["r2"]["line"] is None


def test_faults_are_bounded_and_a_failing_route_hides_no_other() -> None:
    recent = RecentFaults()
    crash(recent, "rare", "rare.route")
    for number in range(500):
        crash(recent, f"r{number}", "noisy.route", "x" * 5000)
    faults = recent.newest()
    assert len(faults) == 1 + MAX_OF_ROUTE
    assert faults[-1]["route"] == "rare.route"
    assert max(len(fault["line"] or "") for fault in faults) <= MAX_LINE
    for number in range(100):
        crash(recent, f"s{number}", f"route.r{number}")
    assert len(recent.newest()) == MAX_FAULTS
    assert len(recent._lines) <= MAX_LINES
