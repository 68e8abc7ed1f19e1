"""The table of verbs: every line of help is that of the verb itself."""

from collections.abc import Iterator

import click
import pytest

from gateway.cli.main import app
from gateway.cli.verbs import LazyCommand, VerbGroup


def verbs(group: VerbGroup = app) -> Iterator[tuple[str, LazyCommand]]:
    """Every verb with its words."""
    for name, command in group.commands.items():
        if isinstance(command, VerbGroup):
            yield from ((f"{name} {inner}", verb) for inner, verb in verbs(command))
        elif isinstance(command, LazyCommand):
            yield name, command


def groups() -> Iterator[click.Command]:
    """The command and its groups."""
    yield app
    yield from (command for command in app.commands.values() if isinstance(command, VerbGroup))


@pytest.mark.parametrize(("words", "verb"), list(verbs()), ids=[words for words, _ in verbs()])
def test_help_line_is_the_first_line_of_the_docstring(words: str, verb: LazyCommand) -> None:
    documentation = verb.load().help or ""
    assert verb.help == documentation.partition("\n\n")[0].replace("\n", " ")
    assert verb.help.endswith(".")
    assert f"gateway {words}" in documentation.partition("\b\nExample:\n  ")[2]


@pytest.mark.parametrize("group", list(groups()), ids=lambda group: group.name)
def test_help_line_of_a_group_is_a_sentence(group: click.Command) -> None:
    assert group.help
    assert group.help[0].isupper()
    assert group.help.endswith(".")
