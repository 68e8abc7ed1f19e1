"""Loads `.sql` files: each query begins with `-- name: …` and a sentence that describes it."""

import re
from pathlib import Path

_names: dict[str, str] = {}
"""The names of all loaded queries, by their text."""

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(path: str | Path) -> dict[str, str]:
    """The queries of a file by name; `path` may be the `.py` file of the same name (`__file__`).

    Raises ValueError if there is no name, or one occurs twice.
    """
    file = Path(path).with_suffix(".sql")
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    names, texts = parts[::2], parts[1::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{file.name}: each query needs its own name")
    queries = {name: text.strip().rstrip(";") for name, text in zip(names, texts, strict=True)}
    owner = file.parent.name if file.stem == "queries" else file.stem
    _names.update((text, f"{owner}.{name}") for name, text in queries.items())
    return queries


def name_of(query: str) -> str | None:
    """The name of a loaded query, such as `outbox.claim`; None for any other text."""
    return _names.get(query)
