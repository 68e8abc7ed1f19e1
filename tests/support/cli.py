"""The command line in this process, as a test types at it."""

import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

from gateway.cli.main import main

Gateway: TypeAlias = Callable[..., tuple[int, str, str]]


def typing_at(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gateway:
    """The command: its exit code, what it prints and what it complains of."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gateway", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
