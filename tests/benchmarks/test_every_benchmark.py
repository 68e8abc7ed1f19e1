"""Each workload of `make bench`, for a moment: it takes most of a minute of both cores."""

import subprocess
import sys

from support.command import environment
from support.harness import ROOT

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
    command = [sys.executable, "benchmarks/run.py", "--smoke"]
    printed = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    ).stdout
    for title in TITLES:
        assert f"\n{title}\n\n| " in printed
