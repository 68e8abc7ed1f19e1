"""The benchmarks run; only results that do not depend on the machine are checked."""

import re
from pathlib import Path

from support.command import printed_by


def test_benchmarks_durable_loses_no_acknowledged_create_after_kill_9() -> None:
    assert " 0 of them lost" in printed_by("benchmarks/durable.py", "--kills", "2")


def test_benchmarks_soak_finds_no_undocumented_answer(tmp_path: Path) -> None:
    samples = ("--samples", str(tmp_path / "soak.jsonl"))
    printed = printed_by("benchmarks/soak.py", "--minutes", "0.05", *samples)
    assert re.search(r"\| undocumented answers +\| 0 of 1,\d{3} ", printed)
    assert re.search(r"\| after 5 s in 0 of \d+ revocations, after 1 s in 0;", printed)
