"""How `gateway` starts: help imports none of the server's modules."""

from pathlib import Path

import pytest
from support.imports import HEAVY, imports_of


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["token", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    imported, _ = imports_of(tmp_path, *words)
    assert "click" in imported
    assert imported & HEAVY == set()


def test_verb_imports_what_it_needs(tmp_path: Path) -> None:
    imported, _ = imports_of(tmp_path, "plan", "--help")
    assert {"asyncpg", "jsonschema_rs"} <= imported
