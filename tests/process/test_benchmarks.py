"""The benchmarks run; of what they find only that is judged which is the same everywhere."""

import shutil
import subprocess
import sys

import pytest
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

INSTRUCTIONS = 350_000
"""Of a request that does nothing, at most: a fifth more than CPython 3.11 takes."""


def _run(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_workload_ends_with_a_table() -> None:
    printed = _run("benchmarks/run.py", "--smoke")
    for title in TITLES:
        assert f"\n{title}\n\n| " in printed


@pytest.mark.skipif(not shutil.which("valgrind"), reason="test_cost.py counts calls instead")
def test_a_request_takes_no_more_instructions_than_it_did() -> None:
    count, what = _run("benchmarks/instructions.py").split()[:2]
    assert what == "PROGRAM"
    assert int(count.replace(",", "")) <= INSTRUCTIONS


def test_what_was_acknowledged_is_there_after_kill_9() -> None:
    assert " 0 of them lost" in _run("benchmarks/durable.py", "--kills", "2")
