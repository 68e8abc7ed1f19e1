"""Secrets in the settings of a service, which no plan, page or history shows.

A secret should not be in a manifest at all; if one is, it must not appear in a comment that many
people read.
"""

import re
from typing import Any

HIDDEN = "(hidden)"

_NAME = re.compile(
    r"(secret|password|passphrase|passwd|token|credential|(api|private|signing|access)[_-]?key)s?$",
    re.IGNORECASE,
)
_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")
_REFERENCE = "env:"
"""The prefix of a value that names an environment variable; such a value is not a secret."""


def hidden(field: str, value: Any) -> Any:  # noqa: ANN401 - JSON is any
    """The value of a dotted field, with `(hidden)` for every secret."""
    if isinstance(value, dict):
        return {name: hidden(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hidden(field, item) for item in value]
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    text = str(value)
    if _NAME.search(field) and not text.startswith(_REFERENCE):
        return HIDDEN
    return _URL.sub(HIDDEN, text) if isinstance(value, str) else value
