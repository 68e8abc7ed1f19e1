"""The command line, run in this process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from gateway.cli.main import main

Gateway: TypeAlias = Callable[..., tuple[int, str, str]]


def gateway_in_process(
    folder: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gateway:
    """A function that runs the command in a folder, with a database.

    It returns exit code, output and error output.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gateway", *words])
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        return int(exit_info.value.code or 0), out, err

    return run
