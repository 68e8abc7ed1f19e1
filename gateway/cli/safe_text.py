r"""Texts from outside, such as people's names, in a form that cannot control a terminal.

Control characters and those that reorder text become escapes (`\x1b`, `\u202e`), so that no text
moves the cursor, changes the terminal, or looks like another text than it is.
"""

import re
from typing import Any

import orjson

from gateway.identity import one_line

_CONTROLS = re.compile(rf"(?![\t\n])[{one_line.CONTROLS}]")
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
