"""Which param names of a caller an answer may repeat.

If a body has the wrong content type, pieces of it are read as names: JSON or base64 that was sent
as a form, a token in a key. Only text that looks like a name is repeated.
"""

import re

_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,32}", re.ASCII)

_SECRET = re.compile(
    r"plano_(?:app|ses)_"
    r"|(?:^|[.\[\]])(?:plano_|ey[A-DI-L]|ew[k-r0-3]|ZX[cl])",
    re.ASCII,
)
"""Tokens, and the beginnings of `{"` and `{ ` in base64, and in base64 of base64."""


def may_be_shown(name: str) -> bool:
    """Whether a name that is not in the schema looks like one, and not like a secret."""
    return bool(_NAME.fullmatch(name)) and not _SECRET.search(name)
