"""Suggestions for misspelt names in messages for operators."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean …? ` with the known name that is most like `name`, or an empty text."""
    similar = difflib.get_close_matches(name, [*known], n=1)
    return f"did you mean {similar[0]}? " if similar else ""
