"""The list of words that sentences do without: what it finds, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import words
from support.harness import ROOT


def found(text: str) -> list[tuple[int, str]]:
    return [(hit.line, hit.word) for hit in words.hits(text)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("It begins anew.", "anew"),
        ("Whoever asks is told.", "Whoever"),
        ("Nobody waits.", "Nobody"),
        ("def test_nobody_waits() -> None:", "nobody"),
        ("two rows, of which one is old", "of which"),
        ("# two rows, of\n    # which one is old", "of # which"),
        ("`7` is no order", "is no order"),
        ("def test_it_is_no_plan() -> None:", "is_no_plan"),
        ("the first, or else the second", "or else"),
        ("the first if it is there, else the second", "else"),
        ("they are given up for good: never sent", "for good"),
        ("a request that lingers", "lingers"),
    ],
)
def test_a_word_of_the_list_is_found(text: str, word: str) -> None:
    assert found(text) == [(1, word)]


@pytest.mark.parametrize(
    "text",
    [
        'caller="nobody"',
        "log in as `nobody`",
        "nobody@example.com, nobody.at.all@example.com",
        "postgresql://nobody@127.0.0.1:1/nothing",
        'Reject("nobody-to-greet")',
        "_AS_NOBODY = 65534",
        "It is no longer there, since there is no revision 7.",
        "x = 1 if a else 2",
        "elsewhere no mail is sent; elsewhere it is",
        "for good reasons it stays",
    ],
)
def test_an_exception_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_each_word_is_listed_with_its_place_and_a_suggestion(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("One.\nTwo begins anew.\n")
    command = [sys.executable, str(ROOT / "tools" / "words.py"), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "1 words to replace\n")
    assert done.stdout == f"{page}:2: anew → again\n"


def test_migrations_and_other_kinds_of_files_are_not_read(tmp_path: Path) -> None:
    for name in ("page.md", "picture.svg", "migrations/0001.sql", "node_modules/page.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("anew")
    assert list(words.files([tmp_path])) == [tmp_path / "page.md"]
