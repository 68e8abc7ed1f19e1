"""Form and query text with bracket nesting: `status[name]=Nowe&ids[]=1&items[][sku]=A`.

The rules are those of Rack and PHP, whose clients send such text.
"""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.stages.decode.limits import MAX_DEPTH, MAX_PAIRS, undecodable

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_APPEND = ""
_PERCENT, _PLUS = b"%+"


def parse(text: bytes) -> dict[str, Any]:
    """All values are str. Of a plain key given twice the last counts.

    Raises Rejection: invalid-encoded-params.
    """
    pairs = [pair for pair in text.split(b"&") if pair]
    if len(pairs) > MAX_PAIRS:
        raise undecodable(f"more than {MAX_PAIRS} pairs")
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        _put(values, _steps(_unquote(key)), _unquote(value))
    return values


def _unquote(text: bytes) -> str:
    if not (_PERCENT in text or _PLUS in text) and text.isascii():
        return text.decode("ascii")
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise undecodable("not UTF-8") from error


def _steps(key: str) -> list[str]:
    """`items[][sku]` as `["items", "", "sku"]`."""
    found = _KEY.fullmatch(key)
    if not found:
        raise undecodable("a key's brackets do not match")
    name, rest = found.groups()
    steps = [name, *rest[1:-1].split("][")] if rest else [name]
    if len(steps) > MAX_DEPTH:
        raise undecodable(f"nested deeper than {MAX_DEPTH} levels")
    return steps


def _put(values: dict[str, Any], steps: list[str], value: str) -> None:
    name, *rest = steps
    if not rest:
        _same_kind(values.get(name, ""), str)
        values[name] = value
    elif rest[0] == _APPEND:
        items = values.setdefault(name, [])
        _append(_same_kind(items, list), rest[1:], value)
    else:
        inner = values.setdefault(name, {})
        _put(_same_kind(inner, dict), rest, value)


def _append(items: list[Any], steps: list[str], value: str) -> None:
    """Append a value, or fill the last object of the list until it has this key."""
    if not steps:
        items.append(value)
        return
    if steps[0] == _APPEND:
        raise undecodable("a list in a list has no form in brackets")
    if not items or not isinstance(items[-1], dict) or _has(items[-1], steps):
        items.append({})
    _put(items[-1], steps, value)


def _has(item: Any, steps: list[str]) -> bool:  # noqa: ANN401 - text, list or object
    name, *rest = steps
    if not isinstance(item, dict) or name not in item:
        return False
    return not rest or (rest[0] != _APPEND and _has(item[name], rest))


def _same_kind(found: Any, kind: type) -> Any:  # noqa: ANN401
    if not isinstance(found, kind):
        raise undecodable("a key is used both as a value and as a list or object")
    return found
