"""The man pages and completions in `share/`: current, complete, and plain roff."""

import re
from collections.abc import Iterator
from pathlib import Path

import man_pages
import pytest
import tables

PAGES = man_pages.SHARE / "man" / "man1"
REQUESTS = {"TH", "SH", "PP", "TP", "B", "nf", "fi", "RS", "RE"}


def pages() -> Iterator[tuple[str, str]]:
    for file in sorted(PAGES.iterdir()):
        yield file.stem, file.read_text()


def shown(text: str) -> str:
    """The words of a page, without its formatting."""
    plain = re.sub(r"\\f[BR]|\\&", "", text)
    for escape, character in (("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\e", "\\")):
        plain = plain.replace(escape, character)
    return plain


def test_man_pages_and_completions_are_what_the_parser_says() -> None:
    assert man_pages.stale() == []


def test_each_command_has_a_man_page() -> None:
    names = {f"gateway-{name.replace(' ', '-')}" for name, _ in tables.commands()}
    assert names <= {name for name, _ in pages()}


def test_a_man_page_has_the_options_arguments_and_exit_codes_of_its_command() -> None:
    text = shown((PAGES / "gateway-plan.1").read_text())
    for words in ("--prune\n", "-o, --output PATH\n", "[MANIFEST]\n", "2 changes, 1 an error."):
        assert words in text
    assert "gateway plan routes.yaml -o plan.json\n" in text


@pytest.mark.parametrize(("name", "text"), [*pages()], ids=[name for name, _ in pages()])
def test_a_man_page_is_plain_roff(name: str, text: str) -> None:
    assert text.isascii()
    lines = text.splitlines()
    assert lines[0].startswith(f'.TH "{name.upper()}" "1"')
    assert lines[1:3][0] == ".SH NAME"
    assert lines[2].startswith(f"{name} \\- ")
    assert {line[1:].split()[0] for line in lines if line.startswith((".", "'"))} <= REQUESTS
    assert not re.search(r"\\(?![-&e]|f[BR]|\((aq|ga|ha|ti)|\[u[0-9A-F]{4,6}\])", text)


def test_a_text_cannot_become_a_request_of_roff() -> None:
    assert man_pages._prose(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert man_pages._prose("'br") == "\\&'br"
    assert man_pages._prose("a\\fB `-x'`") == "a\\efB \\fB\\-x\\(aq\\fR"


@pytest.mark.parametrize("file", man_pages._COMPLETIONS.values())
def test_a_completion_calls_the_command(file: str) -> None:
    text = Path(man_pages.SHARE / file).read_text()
    assert "_GATEWAY_COMPLETE=" in text
