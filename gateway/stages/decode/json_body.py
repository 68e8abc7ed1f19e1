"""A body that is JSON, judged by the number of its values before it is parsed.

A MiB of small lists is 350,000 objects: to create them, and to let the garbage collector look at
them, holds the event loop for more than a second.
"""

import codecs
from typing import Any

import orjson

from gateway import statuses
from gateway.stages.decode.limits import MAX_DEPTH, undecodable
from gateway.values import Rejection

_BRACKET = ord("[")
_SEPARATORS = b",[{"
_QUOTE = b'"'
_UNIMPORTANT = bytes(set(range(256)) - {*_SEPARATORS, *_QUOTE})
_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# A union in `isinstance` would be built again for each value.
_CONTAINERS = (dict, list)
_BACKSLASH = ord("\\")
STRINGS_PER_VALUE = 2
"""A key and its value are two strings at most."""

BYTES_PER_VALUE = 8
"""Bytes of a small value, such as `{"a":1},`."""


def parse(text: bytes, max_values: int) -> dict[str, Any]:
    """A JSON object. orjson refuses NaN, Infinity, lone surrogates and invalid UTF-8.

    Raises Rejection: invalid-encoded-params, no-params-decoded.
    """
    # A value takes two bytes at least, its separator and itself.
    if len(text) > max_values and exceeds(text, max_values):
        raise undecodable(f"more than {max_values} values")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise undecodable(_error(text, error)) from error
    # Counting is cheaper than walking: only a body with many brackets can be too deep.
    lists = text.count(b"[") if _BRACKET in text else 0
    if text.count(b"{") + lists > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise undecodable(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    return value


def exceeds(text: bytes, max_values: int) -> bool:
    """Whether JSON has more than `max_values` values, by its `,`, `[` and `{` outside strings.

    Each comma stands before a value, and each bracket begins one. The count is exact up to the
    first error, where the parser stops too.
    """
    if len(text) - len(text.translate(None, _SEPARATORS)) <= max_values:
        return False
    # A body with far too many values usually exceeds the limit near its beginning.
    beginning = text[: max_values * BYTES_PER_VALUE]
    if len(beginning) < len(text) and _exceeds(beginning, max_values):
        return True
    return _exceeds(text, max_values)


def _exceeds(text: bytes, max_values: int) -> bool:
    if _BACKSLASH in text:
        # Without escapes a quote begins or ends a string: backslashes pair up from the left.
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    text = text.translate(None, _UNIMPORTANT)
    # So many strings mean too many values. The limit bounds the split below, too.
    if text.count(_QUOTE) > 2 * STRINGS_PER_VALUE * (max_values + 1):
        return True
    return sum(map(len, text.split(_QUOTE)[::2])) > max_values


def _error(text: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a body, as far as its first bytes and the parser's message tell."""
    if text.startswith(codecs.BOM_UTF8):
        return "the body begins with a byte order mark; send UTF-8 without it"
    if text.startswith(_UTF16_BOMS) or b"\0" in text[:4]:
        return "the body is UTF-16 or UTF-32; send UTF-8"
    if error.msg.startswith("str is not valid UTF-8"):
        return "the body is not UTF-8"
    if not text.strip():
        return "the body is empty: it has only white space"
    position = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("trailing comma"):
        bracket = error.doc[error.pos + 1 :].lstrip()[:1]
        return f"a comma before the closing {bracket} at {position}"
    return f"the JSON is invalid at {position}"


def _depth(value: Any) -> int:  # noqa: ANN401 - JSON is any
    """How many levels of objects and lists; a loop, since a caller could exhaust the stack."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, _CONTAINERS)]:
        depth += 1
        level = [child for item in level for child in _children(item)]
    return depth


def _children(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
