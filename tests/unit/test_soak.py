"""The arithmetic of `benchmarks/soak.py`, on made-up runs."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from soaking import chart, load, report, verdict
from soaking.mix import KINDS
from soaking.results import PROCESSES, Soak

HOUR = 3600
WINDOW = 10
CALM = f", in windows at a load average of at most {verdict.MAX_LOAD:g}"
AT = range(WINDOW, HOUR + WINDOW, WINDOW)
CREATE = next(kind for kind in KINDS if kind.name == "create")
MISSING = next(kind for kind in KINDS if kind.name == "param missing")


def steady(**columns: Any) -> Soak:
    """A run of an hour in which nothing grows, except in the given columns."""
    flat: dict[str, Any] = {"at": [*AT], "calls": [5000] * len(AT), "load average": [2] * len(AT)}
    flat["database connections"] = [40] * len(AT)
    for process in PROCESSES:
        flat[f"{process}: rss"] = [80.0] * len(AT)
        flat[f"{process}: fds"] = [70] * len(AT)
        flat[f"{process}: threads"] = [9] * len(AT)
        flat[f"{process}: cpu"] = [at * 0.2 for at in AT]
    for group in ("reads", "writes", "mail", "bare"):
        flat[f"{group}: p50"], flat[f"{group}: p99"] = [2.0] * len(AT), [20.0] * len(AT)
    return Soak(
        conditions="a machine",
        columns={**flat, **columns},
        replaced=0,
        answers={f"{kind.name}: {kind.expected}": kind.rate for kind in KINDS},
        changes={"revoked: token": 3, "calls after a revocation": 300},
        longest={"log-in": 250.0, "accepted after: token": 12.0},
        tables=[("gateway.outbox", 7, 0.1)],
    )


def failed(soak: Soak) -> list[str]:
    return [row.what for row in verdict.judge(soak) if row.holds is False]


def test_slope_is_that_of_the_line_of_least_squares() -> None:
    assert verdict.slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert verdict.slope([(0, 0), (1, 3), (2, 0), (3, 3)]) == pytest.approx(0.6)
    assert verdict.slope([(1, 5), (1, 6)]) == 0


def test_growth_begins_when_caches_are_full() -> None:
    full = verdict.CACHES_FULL
    rss = [min(at, full) / full * 100 + max(at - full, 0) / HOUR for at in AT]
    soak = steady(**{"worker 1: rss": rss})
    assert verdict.growth(soak, "worker 1") == pytest.approx(0.01)


def test_growth_of_two_percent_an_hour_is_the_most() -> None:
    assert failed(steady(**{"worker 1: rss": rising(80, 81.5)})) == []
    assert failed(steady(**{"worker 1: rss": rising(80, 82)})) == [
        "memory of worker 1, once caches are full"
    ]


def test_thirds_are_medians_so_that_one_window_does_not_count() -> None:
    assert verdict.thirds([10, 10, 900, 1, 1, 1, 20, 20, 900]) == (10, 20)


def test_processor_time_is_that_of_all_processes_for_each_call() -> None:
    each = 3 * 0.2 * WINDOW / 5000 * 1e6
    assert verdict.processor_time(steady()) == pytest.approx([each] * (len(AT) - 1))


def test_verdict_holds_for_a_run_in_which_nothing_grows() -> None:
    assert failed(steady()) == []


def rising(first: float, last: float) -> list[float]:
    return [first + (last - first) * at / HOUR for at in AT]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"worker 2: rss": rising(80, 90)}, "memory of worker 2, once caches are full"),
        ({"supervisor: rss": rising(50, 60)}, "memory of supervisor, once caches are full"),
        ({"worker 1: fds": rising(70, 90)}, "open descriptors"),
        ({"worker 1: threads": rising(9, 19)}, "threads"),
        ({"database connections": rising(40, 50)}, "database connections"),
        ({"reads: p99": rising(20, 26)}, f"p99 of reads{CALM}"),
        ({"writes: p99": rising(20, 26)}, f"p99 of writes{CALM}"),
        ({"worker 1: cpu": [at**2 / 1e4 for at in AT]}, "processor time of a call"),
    ],
)
def test_verdict_names_what_grows(columns: dict[str, Any], what: str) -> None:
    assert failed(steady(**columns)) == [what]


def test_verdict_of_a_short_run_does_not_say_whether_anything_grows() -> None:
    at = [seconds / 100 for seconds in AT]
    growing = {"database connections": rising(40, 50), "worker 1: fds": rising(70, 90)}
    growing["worker 2: rss"] = rising(80, 90)
    rows = verdict.judge(steady(at=at, **growing))
    assert {row.what for row in rows if row.holds is None} >= {
        "memory of worker 2, once caches are full",
        "open descriptors",
        "threads",
        "database connections",
    }
    assert not [row.what for row in rows if row.holds is False]


def test_verdict_allows_a_p99_that_rises_as_much_as_that_of_the_bare_server() -> None:
    slower = rising(20, 40)
    assert (
        failed(steady(**{"reads: p99": slower, "writes: p99": slower, "bare: p99": slower})) == []
    )


def test_verdict_leaves_out_windows_of_a_busy_machine() -> None:
    is_busy = [index % 2 for index in range(len(AT))]
    p99 = [9000.0 * busy or 20.0 for busy in is_busy]
    load_average = [20.0 * busy or 2.0 for busy in is_busy]
    soak = steady(**{"reads: p99": p99, "load average": load_average})
    assert failed(soak) == []
    assert failed(steady(**{"reads: p99": rising(20, 26), "load average": load_average})) == [
        f"p99 of reads{CALM}"
    ]


def test_verdict_does_not_judge_latency_without_windows_to_compare() -> None:
    soak = steady(**{"reads: p99": rising(20, 90), "load average": rising(2, 30)})
    rows = {row.what: row for row in verdict.judge(soak)}
    assert rows[f"p99 of reads{CALM}"].holds is None
    assert rows[f"p99 of reads{CALM}"].measured == "77 windows in the first third, 0 in the last"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"answers": {"create: 500 application-crash": 1}}, "undocumented answers"),
        ({"answers": {"list: no answer": 1}}, "undocumented answers"),
        ({"answers": {"param missing: 200": 1}}, "undocumented answers"),
        (
            {"changes": {"refused: log-ins: service-unavailable": 1}},
            "refused log-ins, log-outs, new tokens and new roles",
        ),
        ({"changes": {"accepted after 5 s": 1}}, "calls accepted after a revocation"),
        ({"replaced": 1}, "workers that were replaced"),
    ],
)
def test_verdict_names_what_went_wrong(changes: dict[str, Any], what: str) -> None:
    assert failed(replace(steady(), **changes)) == [what]


@pytest.mark.parametrize(
    ("outcome", "what"),
    [
        ("503 service-unavailable", "documented answers in an overload"),
        ("not sent", "calls without a free connection"),
    ],
)
def test_verdict_leaves_open_what_an_overload_means(outcome: str, what: str) -> None:
    soak = replace(steady(), answers={"list: 200": 7, f"list: {outcome}": 3})
    rows = {row.what: row for row in verdict.judge(soak)}
    assert (rows[what].measured, rows[what].holds) == ("3 of 10", None)
    assert failed(soak) == []


def test_call_that_waits_too_long_for_a_connection_is_not_sent() -> None:
    client, now = load.Client(port=0, connections=0), time.perf_counter()
    client.send(CREATE, b"", now - load.MAX_WAIT - 1)
    client.send(CREATE, b"", now)
    assert client.take_window().answers == {"create: not sent": 1}
    assert client.in_flight == 1


def test_verdict_of_a_short_run_does_not_judge_memory_and_latency() -> None:
    soak = steady(**{"worker 1: rss": rising(80, 200), "reads: p99": rising(20, 90)})
    short = {name: values[:60] for name, values in soak.columns.items()}
    assert failed(replace(soak, columns=short)) == []


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b'HTTP/1.1 400 Bad Request\r\n\r\n{"status":"missing-param"}', "400 missing-param"),
        (b'HTTP/1.1 400 Bad Request\r\n\r\n{"status":"invalid-param"}', "400 invalid-param"),
        (b'HTTP/1.1 401 X\r\n\r\n{"status":"err","error":"202"}', "401 202"),
        (b"HTTP/1.1 502 X\r\n\r\n<html>", "502 without a status"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "200"),
        (b"", load.NO_ANSWER),
    ],
)
def test_outcome_is_the_code_and_the_slug(answer: bytes, outcome: str) -> None:
    assert load.outcome(MISSING, answer) == outcome


def test_outcome_of_a_success_is_its_code() -> None:
    assert load.outcome(CREATE, b'HTTP/1.1 200 OK\r\n\r\n{"data":{}}') == "200"


def line(at: float, pids: tuple[int, ...], answers: dict[str, int]) -> bytes:
    processes = [{"pid": pid, "fds": 7, "rss": 80.0, "threads": 2, "cpu": 1.0} for pid in pids]
    return orjson.dumps(
        {
            "at": at,
            "processes": processes,
            "answers": answers,
            "database": {"connections": 9},
            "load_average": 1.234,
            "reads": {"count": 5, "p50": 1.0, "p99": 2.0, "max": 3.0},
            "changes": {"counts": {"applies": int(at)}, "longest": {"log-in": 100 - at}},
        }
    )


def test_samples_of_a_run_become_columns_even_if_it_was_cut(tmp_path: Path) -> None:
    lines = [
        b'{"conditions":"here"}',
        line(1, (1, 2, 3), {"list: 200": 2}),
        line(2, (1, 2), {"list: 200": 3}),
        line(3, (1, 2, 4), {"read: 200": 1}),
    ]
    (tmp_path / "soak.jsonl").write_bytes(b"\n".join(lines))
    soak = Soak.read(tmp_path / "soak.jsonl")
    assert soak.columns["calls"] == [2, 3, 1]
    assert soak.columns["worker 2: rss"] == [80.0, None, 80.0]
    assert soak.values("reads: p99") == [2.0, 2.0, 2.0]
    assert soak.values("writes: p99") == []
    assert (soak.replaced, soak.answers) == (2, {"list: 200": 5, "read: 200": 1})
    assert (soak.changes, soak.longest) == ({"applies": 3}, {"log-in": 99})


def test_saved_run_is_the_same_when_loaded(tmp_path: Path) -> None:
    steady().save(tmp_path / "soak.json")
    loaded = Soak.load(tmp_path / "soak.json")
    assert loaded.columns == steady().columns
    assert [*report.section(loaded)] == [*report.section(steady())]


def test_chart_has_a_line_for_each_series_inside_the_picture() -> None:
    picture = chart.draw(steady())
    assert picture.count('fill="none"') == 3 + 4 + 3 + 1
    assert picture.count("h0") == 3 * len(AT)
    assert "NaN" not in picture


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(80, [0, 20, 40, 60, 80]), (96, [0, 20, 40, 60, 80, 100]), (7, [0, 2, 4, 6, 8])],
)
def test_ticks_are_round_numbers_up_to_the_highest_value(highest: float, ticks: list[int]) -> None:
    assert chart.steps(highest) == ticks


def test_decades_contain_the_values() -> None:
    assert chart.decades(3, 200) == [1, 10, 100, 1000]
    assert chart.decades(10, 10) == [10, 100]


def test_page_and_picture_are_those_of_the_run_that_is_kept_beside_them() -> None:
    soak = Soak.load(report.DATA)
    assert "\n".join(report.section(soak)) in report.PAGE.read_text()
    assert report.PICTURE.read_text() == chart.draw(soak)
