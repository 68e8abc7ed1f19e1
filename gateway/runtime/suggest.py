"""Suggestions for misspelt names in messages for operators."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean title?)` with the known word that is closest; empty if none is close."""
    closest = get_close_matches(word, list(known), n=1)
    return f" (did you mean {closest[0]}?)" if closest else ""
