"""Forms and query strings with nested keys: `status[name]=Nowe&ids[]=1&items[][sku]=A`.

The rules are those of Rack and PHP, whose clients send them.
"""

import re
from binascii import a2b_qp
from typing import Any

from gateway.stages.decode.limits import MAX_DEPTH, MAX_LEVELS, MAX_PAIRS, MAX_STRAYS, undecodable

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_APPEND = ""
_PERCENT, _PLUS = b"%+"
_BLANKS = bytes.maketrans(b"+", b" ")
_HEXADECIMAL = b"0123456789ABCDEFabcdef"
_KINDS = bytes(byte if byte == _PERCENT else b"xh"[byte in _HEXADECIMAL] for byte in range(256))
"""Percent signs, hexadecimal digits, and other bytes."""

_QUOTED_PRINTABLE = bytes.maketrans(b"%=", b"=\xff")
_EQUALS = bytes.maketrans(b"\xff", b"=")


def parse(text: bytes, max_values: int = MAX_PAIRS) -> dict[str, Any]:
    """Nested params whose values are all str; the last value of a repeated key wins.

    Raises Rejection: invalid-encoded-params.
    """
    # Counted before the split, which creates an object for each; an empty pair is one too.
    max_pairs = min(MAX_PAIRS, max_values)
    if text.count(b"&") >= max_pairs:
        raise undecodable(f"more than {max_pairs} key=value pairs")
    text = _escape_stray(text) if _PERCENT in text else text
    values: dict[str, Any] = {}
    levels = 0
    for pair in filter(None, text.split(b"&")):
        key, _, value = pair.partition(b"=")
        path = _split_key(_unquote(key))
        levels += len(path)
        if levels > MAX_LEVELS:
            raise undecodable(f"more than {MAX_LEVELS} levels in all keys together")
        _assign(values, path, _unquote(value))
    return values


def _escape_stray(text: bytes) -> bytes:
    """Write each `%` that no two hexadecimal digits follow, and that stands for itself, as `%25`.

    Raises Rejection for more than `MAX_STRAYS`: such a body is not a form.
    """
    # A regular expression that looks at each `%` takes four times as long.
    marks = text.translate(_KINDS).replace(b"%hh", b"xxx")
    strays = marks.count(b"%")
    if strays > MAX_STRAYS:
        raise undecodable(f"more than {MAX_STRAYS} percent signs without two hexadecimal digits")
    if not strays:
        return text
    parts, start = [], 0
    for part in marks.split(b"%"):
        parts.append(text[start : start + len(part)])
        start += len(part) + 1
    return b"%25".join(parts)


def _unquote(text: bytes) -> str:
    if not (_PERCENT in text or _PLUS in text) and text.isascii():
        return text.decode("ascii")
    if _PLUS in text:
        text = text.translate(_BLANKS)
    if _PERCENT in text:
        # Quoted-printable text has `=` for `%`, and is decoded in C: `unquote_to_bytes` loops over
        # the escapes in Python. The byte 0xFF stands for `=` meanwhile.
        equals = text.count(b"=")
        text = a2b_qp(text.translate(_QUOTED_PRINTABLE))
        # Any other 0xFF came from the client, and is not valid UTF-8.
        if text.count(b"\xff") == equals:
            text = text.translate(_EQUALS)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise undecodable("a key or value is not valid UTF-8") from error


def _split_key(key: str) -> list[str]:
    """`items[][sku]` as `["items", "", "sku"]`."""
    if key.count("[") >= MAX_DEPTH:
        raise undecodable(f"nested deeper than {MAX_DEPTH} levels")
    if key and "[" not in key and "]" not in key:
        return [key]
    matched = _KEY.fullmatch(key)
    if not matched:
        raise undecodable("the brackets of a key are unbalanced")
    name, brackets = matched.groups()
    return [name, *brackets[1:-1].split("][")]


def _assign(values: dict[str, Any], path: list[str], value: str) -> None:
    *above, name = path
    for index, outer in enumerate(above):
        if path[index + 1] == _APPEND:
            items = values.setdefault(outer, [])
            _append(_require_type(items, list), path[index + 2 :], value)
            return
        values = _require_type(values.setdefault(outer, {}), dict)
    _require_type(values.get(name, ""), str)
    values[name] = value


def _append(items: list[Any], path: list[str], value: str) -> None:
    """Append a value, or fill the last object of the list until it has this key."""
    if not path:
        items.append(value)
        return
    if path[0] == _APPEND:
        raise undecodable("brackets cannot express a list inside a list")
    if not items or not isinstance(items[-1], dict) or _has_value(items[-1], path):
        items.append({})
    _assign(items[-1], path, value)


def _has_value(item: Any, path: list[str]) -> bool:  # noqa: ANN401 - text, list or object
    name, *below = path
    if not isinstance(item, dict) or name not in item:
        return False
    return not below or (below[0] != _APPEND and _has_value(item[name], below))


def _require_type(value: Any, expected: type) -> Any:  # noqa: ANN401
    if not isinstance(value, expected):
        raise undecodable("a key is used both as a value and as a list or an object")
    return value
