"""The most important faults on a real cluster in network namespaces, judged by the program."""

import os
import subprocess
import sys

from support.harness import ROOT


def test_cluster_loses_nothing_when_machines_fail() -> None:
    command = [sys.executable, "-m", "failover", "--smoke"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    inside = str(ROOT / "tools" / "in-namespaces")
    # The table goes to the terminal, line by line.
    result = subprocess.run([inside, *command], env=environment, check=False)
    assert result.returncode == 0
