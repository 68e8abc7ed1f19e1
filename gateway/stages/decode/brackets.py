"""Forms and query strings with nested keys: `status[name]=Nowe&ids[]=1&items[][sku]=A`.

The rules are those of Rack and PHP, whose clients send them.
"""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.stages.decode.limits import MAX_DEPTH, MAX_PAIRS, undecodable

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_APPEND = ""
_PERCENT, _PLUS = b"%+"


def parse(text: bytes) -> dict[str, Any]:
    """Nested params whose values are all str; the last value of a repeated key wins.

    Raises Rejection: invalid-encoded-params.
    """
    pairs = [pair for pair in text.split(b"&") if pair]
    if len(pairs) > MAX_PAIRS:
        raise undecodable(f"more than {MAX_PAIRS} key=value pairs")
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        _assign(values, _split_key(_unquote(key)), _unquote(value))
    return values


def _unquote(text: bytes) -> str:
    if not (_PERCENT in text or _PLUS in text) and text.isascii():
        return text.decode("ascii")
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise undecodable("a key or value is not valid UTF-8") from error


def _split_key(key: str) -> list[str]:
    """`items[][sku]` as `["items", "", "sku"]`."""
    matched = _KEY.fullmatch(key)
    if not matched:
        raise undecodable("the brackets of a key are unbalanced")
    name, brackets = matched.groups()
    path = [name, *brackets[1:-1].split("][")] if brackets else [name]
    if len(path) > MAX_DEPTH:
        raise undecodable(f"nested deeper than {MAX_DEPTH} levels")
    return path


def _assign(values: dict[str, Any], path: list[str], value: str) -> None:
    name, *below = path
    if not below:
        _require_type(values.get(name, ""), str)
        values[name] = value
    elif below[0] == _APPEND:
        items = values.setdefault(name, [])
        _append(_require_type(items, list), below[1:], value)
    else:
        inner = values.setdefault(name, {})
        _assign(_require_type(inner, dict), below, value)


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
