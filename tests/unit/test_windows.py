"""Windows of requests, and the quantiles of their durations."""

import random

import pytest

from gateway.runtime.windows import BOUNDS, MAX_ROUTES, MAX_WINDOWS, Windows, quantile


def durations_of(*seconds: float) -> list[int]:
    windows = Windows()
    windows.add("a.b", "action-successful", "none", seconds)
    windows.close()
    durations: list[int] = windows.closed[-1]["durations"]
    return durations


def test_window_has_what_happened_since_the_one_before() -> None:
    windows = Windows()
    windows.add("a.b", "action-successful", "none", [0.001, 0.002])
    windows.close()
    windows.add("a.b", "service-timeout", "gateway", [12.0])
    windows.close()
    first, second = windows.closed
    assert (first["number"], first["requests"], first["faults"]) == (1, 2, {"none": 2})
    assert second["routes"]["a.b"]["slugs"] == {"service-timeout": 1}
    assert second["routes"]["a.b"]["faults"] == 1
    assert second["durations"][-1] == 1


def test_windows_are_bounded_in_number_and_in_routes() -> None:
    windows = Windows()
    for _ in range(MAX_WINDOWS + 5):
        windows.close()
    for number in range(MAX_ROUTES + 20):
        windows.add(f"a.r{number}", "action-successful", "none", [0.001] * 2)
    windows.add("a.failing", "application-crash", "gateway", [0.001])
    windows.close()
    assert len(windows.closed) == MAX_WINDOWS
    routes = windows.closed[-1]["routes"]
    assert len(routes) == MAX_ROUTES
    assert "a.failing" in routes


def test_quantile_is_within_the_class_of_the_true_one() -> None:
    chosen = random.Random(7)
    seconds = [chosen.expovariate(100) for _ in range(1000)]
    for share in (0.5, 0.9, 0.99):
        true = sorted(seconds)[int(share * 1000) - 1]
        lower = max((bound for bound in BOUNDS if bound < true), default=0.0)
        upper = min(bound for bound in BOUNDS if bound >= true)
        found = quantile(durations_of(*seconds), share)
        assert found is not None
        assert lower <= found <= upper


@pytest.mark.parametrize(
    ("seconds", "share", "expected"),
    [((), 0.5, None), ((99.0,), 0.5, BOUNDS[-1]), ((0.0, 0.0), 1.0, BOUNDS[0])],
)
def test_quantile_at_the_ends(
    seconds: tuple[float, ...], share: float, expected: float | None
) -> None:
    assert quantile(durations_of(*seconds), share) == expected
