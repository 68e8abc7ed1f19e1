"""The benchmarks that take most of a minute of both cores, each for a moment."""

import re

from support.command import printed_by

TITLES = (
    "A call that does nothing",
    "order_stages.create",
    "A list of 50 statuses, no two requests alike",
    "A list of 50 statuses, all requests alike",
    "One create at a time",
    "Creates at a fixed rate",
    "Mixed calls beside a slow route",
    "10 to 100,000 routes",
)


def test_benchmarks_print_a_table_for_every_workload() -> None:
    printed = printed_by("benchmarks/run.py", "--smoke")
    for title in TITLES:
        assert f"\n{title}\n\n| " in printed


def test_benchmarks_plugin_makes_one_template_for_all_processes_and_runs() -> None:
    printed = printed_by("benchmarks/plugin.py", "--tests", "4")
    assert len(re.findall(r"^\| (?:one|two) process.* \| 1 \|$", printed, re.MULTILINE)) == 4


def test_benchmarks_workers_print_a_table_for_every_route() -> None:
    printed = printed_by("benchmarks/workers.py", "--rounds", "1", "--seconds", "0.3")
    for route in ("sessions.read", "order_stages.create"):
        assert re.search(rf"\n{route}.*\n 1 worker .*\n 2 workers .*\n 4 workers ", printed)


def test_benchmarks_memory_is_that_of_each_worker_and_of_open_connections() -> None:
    sizes = ("--routes", "16", "50", "--connections", "200", "--seconds", "0.3")
    printed = printed_by("benchmarks/memory.py", *sizes)
    assert re.search(r"^ +16 +\d+\.\d +\d+\.\d\n200 open connections: ", printed, re.MULTILINE)
    assert re.search(r"^ +50 ", printed, re.MULTILINE)


def test_benchmarks_time_profile_leaves_out_each_part_and_is_still_answered() -> None:
    printed = printed_by("benchmarks/time_profile.py", "--rounds", "1")
    assert re.search(r"\nwhole request +\d+\.\d\n", printed)
