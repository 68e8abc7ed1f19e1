"""`make chaos` for a few seconds: faults under load lose nothing and do nothing twice."""

import itertools
import re
import subprocess
import sys

from chaos import plan
from support.command import environment
from support.harness import IMPORT_PATH, ROOT

SEED = 632
FAULTS = 2
PACE = 0.2
"""A plan that begins with short faults; how many in each lane; the factor of the pauses."""

SHORT = ("--seed", SEED, "--faults", FAULTS, "--pace", PACE, "--callers", 8, "--hurry")


def test_chaos_of_a_few_seconds_finds_nothing_wrong() -> None:
    path = f"{IMPORT_PATH}:{ROOT / 'benchmarks'}"
    process = subprocess.run(
        [sys.executable, "-m", "chaos", *map(str, SHORT)],
        cwd=ROOT,
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    printed = process.stdout
    assert process.returncode == 0, printed + process.stderr
    assert printed.endswith("\nnothing was wrong\n")
    assert max(map(len, printed.splitlines())) <= 80
    for lane in plan.LANES:
        for step in itertools.islice(plan.steps(SEED, lane, PACE), FAULTS):
            assert re.search(rf"^{step.fault} +\d", printed, re.MULTILINE), printed
    for kind in ("create a stage", "create a status", "log in", "log out"):
        assert re.search(rf"^{kind} +[1-9][\d,]* +[1-9][\d,]* +0$", printed, re.MULTILINE), printed
