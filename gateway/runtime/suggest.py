"""Suggestions for misspelt names in messages for operators."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that is closest; empty if none is close."""
    return next(iter(get_close_matches(word, list(known), n=1)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean title?)` with the known word that is closest; empty if none is close."""
    near = closest(word, known)
    return f" (did you mean {near}?)" if near else ""
