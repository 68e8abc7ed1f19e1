"""Words that several messages share: a value, a choice."""

from typing import Any

import orjson

_MAX_SHOWN = 60
"""Characters of a value, after which it is cut off."""


def one_of(words: list[str]) -> str:
    """`GET, POST or PUT`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def shown(value: Any) -> str:  # noqa: ANN401
    """A value as the file has it; a list or a mapping by its kind."""
    if value is None:
        return "an empty value"
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    text = repr(value) if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
