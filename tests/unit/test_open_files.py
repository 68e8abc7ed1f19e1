"""The limit of open files: a server asks for as many as it may have."""

import subprocess
import sys

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
RAISE = "from gateway.runtime.descriptors import raise_limit; print(raise_limit())"
WARN = """
from gateway.cli.serve import _warn_of_descriptors
from gateway.settings import Settings
_warn_of_descriptors(Settings.load({}))
"""


def run(code: str, *, soft: int, hard: int) -> "subprocess.CompletedProcess[str]":
    program = LIMITED.format(soft=soft, hard=hard) + code
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )


def test_open_files_are_raised_to_the_hard_limit() -> None:
    assert run(RAISE, soft=256, hard=3000).stdout.strip() == "3000"


def test_open_files_that_are_too_few_are_warned_of() -> None:
    warned = run(WARN, soft=256, hard=1024).stderr
    assert "a worker may need 2100 open files, but the limit is 1024" in warned
    assert run(WARN, soft=256, hard=3000).stderr == ""
