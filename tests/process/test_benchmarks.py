"""The benchmarks run; only results that do not depend on the machine are checked."""

import re
import subprocess
import sys
from pathlib import Path

from support.command import environment
from support.harness import ROOT


def _run(*args: str) -> str:
    process = subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_benchmarks_durable_loses_no_acknowledged_create_after_kill_9() -> None:
    assert " 0 of them lost" in _run("benchmarks/durable.py", "--kills", "2")


def test_benchmarks_soak_finds_no_undocumented_answer(tmp_path: Path) -> None:
    samples = ("--samples", str(tmp_path / "soak.jsonl"))
    printed = _run("benchmarks/soak.py", "--minutes", "0.05", *samples)
    assert re.search(r"\| undocumented answers +\| 0 of 1,\d{3} ", printed)
    assert re.search(r"\| after 5 s in 0 of \d+ revocations, after 1 s in 0;", printed)
