"""Parse the JSON of a file, with readable errors; a duplicate key is an error."""

import json
from typing import Any

import orjson


class JsonError(ValueError):
    """The text is not JSON, or not UTF-8; the message says what is expected, and where."""


class _DuplicateError(ValueError):
    """An object has a key twice."""


def parse(content: bytes) -> Any:  # noqa: ANN401 - JSON is any
    """The value of a JSON text. Raises JsonError."""
    _refuse_duplicates(_decoded(content))
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        # Python's own parser accepts more than orjson: NaN, and lone surrogates.
        message = f"expected a JSON value (line {error.lineno}, column {error.colno})"
        raise JsonError(f"is not valid JSON: {message}") from error


def _refuse_duplicates(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=_unique)
    except _DuplicateError as error:
        raise JsonError(f"has the key {error} twice in one object") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"is not valid JSON: {_words_and_position(error)}") from error
    except RecursionError as error:
        raise JsonError("is nested too deeply") from error


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise JsonError(
            f"is not valid UTF-8: the byte 0x{byte:02x} in line {line}; save the file as UTF-8"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateError(next(key for key in keys if keys.count(key) > 1))
    return value


def _words_and_position(error: json.JSONDecodeError) -> str:
    comma = _trailing_comma(error)
    if comma is not None:
        # The versions of Python report different positions; we report that of the comma.
        error = json.JSONDecodeError("a comma before a closing bracket", error.doc, comma)
    words = (words for start, words in _WORDS if error.msg.startswith(start))
    return f"{next(words, 'unexpected text')} (line {error.lineno}, column {error.colno})"


def _trailing_comma(error: json.JSONDecodeError) -> int | None:
    """The index of the comma before a closing bracket, if it is the error."""
    text, place = error.doc, error.pos
    if place < len(text) and text[place] in "]}":
        place = len(text[:place].rstrip()) - 1
    after = text[place + 1 :].lstrip()
    return place if text[place : place + 1] == "," and after.startswith(("]", "}")) else None


_WORDS: tuple[tuple[str, str], ...] = (
    ("a comma before", "a comma before a closing bracket is not allowed; remove it"),
    ("Expecting property name", "expected a name in double quotes"),
    ("Expecting value", "expected a value"),
    ("Expecting ':'", "expected : after the name"),
    ("Expecting ','", "expected a comma or the closing bracket"),
    ("Unterminated string", "the quote that opens here is never closed"),
    ("Invalid control", "a text cannot hold a line break or a tab; write \\n or \\t"),
    ("Invalid \\", "invalid escape; write \\\\ for a backslash"),
    ("Extra data", "expected the end of the file"),
    ("Unexpected UTF-8 BOM", "the file begins with a byte order mark; save it without one"),
)
"""The beginning of each message of Python's parser, and our message; the first is our own."""
