"""The sums of what all workers report, for the last hour."""

from typing import Any

from gateway.monitoring.history import sample_of
from gateway.runtime.windows import MAX_ROUTES, Windows


def worker(name: str, *requests: int, added: int | None = None, **figures: float) -> dict[str, Any]:
    """A worker with one window for each number of requests."""
    windows = Windows()
    for count in requests:
        windows.add("a.b", "action-successful", "none", [0.001] * count)
        windows.close()
    return {
        "worker": name,
        "windows": [*windows.closed],
        "added": added,
        "figures": {"in_flight": 0, "loop_lag": 0.0, **figures},
    }


def test_sample_adds_up_the_workers() -> None:
    sample = sample_of([worker("x", 3, in_flight=2), worker("y", 4, in_flight=1, loop_lag=0.3)])
    assert sample["requests"] == 7
    assert sample["routes"]["a.b"]["slugs"] == {"action-successful": 7}
    assert (sample["workers"], sample["in_flight"], sample["loop_lag"]) == (2, 3, 0.3)
    assert (sample["seconds"], sample["numbers"]) == (5.0, {"x": 1, "y": 1})


def test_sample_takes_each_window_once() -> None:
    sample = sample_of([worker("x", 3, 5, 7, added=1), worker("y", 4, added=1)])
    assert sample["requests"] == 12
    assert sample["seconds"] == 10.0
    assert sample["numbers"] == {"x": 3, "y": 1}


def test_sample_of_no_worker_is_empty() -> None:
    sample = sample_of([])
    assert (sample["requests"], sample["seconds"], sample["workers"]) == (0, 0, 0)


def test_sample_keeps_the_routes_with_faults() -> None:
    windows = Windows()
    for number in range(MAX_ROUTES):
        windows.add(f"a.r{number}", "action-successful", "none", [0.001] * 9)
    windows.close()
    windows.add("a.failing", "application-crash", "gateway", [0.001])
    windows.close()
    busy = {**worker("x"), "windows": [*windows.closed]}
    routes = sample_of([busy])["routes"]
    assert len(routes) == MAX_ROUTES
    assert routes["a.failing"]["faults"] == 1
