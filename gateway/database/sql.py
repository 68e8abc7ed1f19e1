"""SQL lives in `.sql` files: blocks that begin with `-- name: …` and a sentence each."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(path: str | Path) -> dict[str, str]:
    """The named queries of a file; `path` may be the `.py` file beside it (`__file__`).

    Raises ValueError if a name is there twice or there is none.
    """
    file = Path(path).with_suffix(".sql")
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    names, texts = parts[::2], parts[1::2]
    if not names or len(set(names)) != len(names):
        message = f"{file.name}: each query needs a name of its own"
        raise ValueError(message)
    return {name: text.strip().rstrip(";") for name, text in zip(names, texts, strict=True)}
