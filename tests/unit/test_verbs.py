"""The table of verbs: every line of help is that of the verb itself."""

import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest

from gateway.cli.verbs import VERBS, Verb, help_text


def verbs() -> Iterator[tuple[str, Verb]]:
    """Every verb with its words."""
    for name, entry in VERBS.items():
        if isinstance(entry, Verb):
            yield name, entry
        else:
            yield from ((f"{name} {inner}", verb) for inner, verb in entry.verbs.items())


@pytest.mark.parametrize(("words", "verb"), list(verbs()), ids=[words for words, _ in verbs()])
def test_help_line_is_the_first_line_of_the_docstring(words: str, verb: Verb) -> None:
    function = getattr(import_module(f"gateway.cli.{verb.module}"), verb.function)
    documentation = inspect.getdoc(function) or ""
    assert verb.help == documentation.partition("\n\n")[0].replace("\n", " ")
    assert verb.help.endswith(".")
    assert f"gateway {words}" in help_text(function).partition("\b\nExample:\n  ")[2]


@pytest.mark.parametrize("name", VERBS)
def test_help_line_of_a_group_is_a_sentence(name: str) -> None:
    assert VERBS[name].help[0].isupper()
    assert VERBS[name].help.endswith(".")
