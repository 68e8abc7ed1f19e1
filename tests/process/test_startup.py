"""How `gateway` starts: what its help and the shell's completion import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment

HEAVY = {
    *("asyncpg", "jsonschema", "jsonschema_rs", "prometheus_client", "requests", "rich"),
    *("starlette", "uvicorn", "uvloop", "yaml"),
}
"""Packages that the verbs import when they run."""


def imports_of(folder: Path, *args: str, **changes: str) -> set[str]:
    """The top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", *args],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"^import time: .*\| +(\w+)", done.stderr, re.MULTILINE))


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["token", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    imported = imports_of(tmp_path, *words)
    assert "typer" in imported
    assert imported & HEAVY == set()


def test_verb_imports_what_it_needs(tmp_path: Path) -> None:
    assert {"asyncpg", "jsonschema_rs"} <= imports_of(tmp_path, "plan", "--help")
