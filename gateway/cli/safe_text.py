r"""Texts from outside, such as people's names, in a form that cannot control a terminal.

Control characters and those that reorder text become escapes (`\x1b`, `\u202e`), so that no text
moves the cursor, changes the terminal, or looks like another text than it is.
"""

import re
from typing import Any

import orjson

_CONTROLS = re.compile(
    # C0 without tab and line feed, DEL and C1.
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"
    # Line separators, and what changes the direction of text.
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_MAX_BYTE = 0xFF


def printable(text: str) -> str:
    """A text with its control characters as escapes; tabs and line feeds stay."""
    return _CONTROLS.sub(_escape, text)


def json_text(value: Any) -> str:  # noqa: ANN401 - JSON is any
    """A value as indented JSON, with control characters as JSON has them in its strings."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code <= _MAX_BYTE else f"\\u{code:04x}"
