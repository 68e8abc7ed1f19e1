"""Path patterns such as `/orders/{id:int}`, and splitting a request's path into segments."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

MAX_SEGMENTS = 32
RESERVED = ("/-", "/documentation", "/openapi", "/openapi.json")
"""The gateway's own paths; no route may use them or a path below them."""

DOCUMENTED_ELSEWHERE = ("/statuses", "/manifest", "/reference")
"""Paths that no route may have: below /documentation another page has the name of their page."""

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_PARAM = re.compile(r"\{([a-z_][a-z0-9_]*)(?::([a-z]+))?\}", re.ASCII)
_PARAM_NAME = re.compile(r"\{([a-z0-9_]+)")
_MATCH_NOTHING = frozenset(("", ".", ".."))
_PLAIN_LITERAL = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)


class PathError(ValueError):
    """An invalid pattern; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern: a literal, or a param that is typed (`kind`) or plain."""

    literal: str | None = None
    name: str = ""
    kind: str | None = None

    @property
    def shape(self) -> tuple[str | None, str | None]:
        """What a segment matches; two patterns clash if all their segments have equal shapes."""
        return (self.literal, self.kind)


def _read_int(text: str) -> int | None:
    return int(text) if _INT.fullmatch(text) else None


def _read_uuid(text: str) -> str | None:
    return text.lower() if _UUID.fullmatch(text) else None


KINDS: dict[str, Callable[[str], Any]] = {"int": _read_int, "uuid": _read_uuid}
"""Typed segments: each converts a segment's text, or returns None if it does not match."""


def parse(pattern: str) -> tuple[Segment, ...]:
    """The segments of a pattern. Raises PathError."""
    if not pattern.startswith("/"):
        message = "a path must start with /"
        raise PathError(message)
    segments = tuple(map(_segment, pattern[1:].split("/")))
    if len(segments) > MAX_SEGMENTS:
        message = f"a path may have at most {MAX_SEGMENTS} segments"
        raise PathError(message)
    params = names(pattern)
    if len(params) != len(set(params)):
        message = "two params have the same name"
        raise PathError(message)
    return segments


def shape(pattern: str) -> str:
    """The pattern without the names of its params: patterns clash if their shapes are equal."""
    return _PARAM_NAME.sub("{", pattern)


def names(pattern: str) -> list[str]:
    """The names of a pattern's params."""
    return _PARAM_NAME.findall(pattern)


def is_reserved(path: str) -> bool:
    """Whether a path is one of the gateway's own or below one."""
    return path.startswith(RESERVED) and any(
        path == own or path.startswith(f"{own}/") for own in RESERVED
    )


@lru_cache(maxsize=4096)
def _segment(text: str) -> Segment:
    """One segment of a pattern. Equal segments are one object, since routes share many."""
    if "{" not in text and "}" not in text:
        return Segment(literal=_literal(text))
    param = _PARAM.fullmatch(text)
    if not param:
        allowed = "{name}, {name:int}, {name:uuid} or a literal"
        message = f"{text!r} is not a valid segment; allowed: {allowed}"
        raise PathError(message)
    name, kind = param.groups()
    if kind and kind not in KINDS:
        message = f"{{{name}:{kind}}} has an unknown type; allowed: {', '.join(KINDS)}"
        raise PathError(message)
    return Segment(name=name, kind=kind)


def _literal(text: str) -> str:
    if text in {"", ".", ".."}:
        message = "empty segments, . and .. are not allowed"
        raise PathError(message)
    if not _PLAIN_LITERAL.fullmatch(text):
        message = f"{text!r} is not a valid literal; allowed: letters, digits and . _ ~ -"
        raise PathError(message)
    return text


def split(path: bytes) -> list[str] | None:
    """A request's raw path as decoded segments, or None if it cannot match any pattern.

    Split first, then percent-decode each segment once, so that `%2F` is never a separator.
    """
    if not path.startswith(b"/") or path.count(b"/") > MAX_SEGMENTS:
        return None
    if b"\0" in path or b"%00" in path:
        return None
    try:
        # Most paths have nothing to decode; checking segment by segment would take the most time.
        segments = _decoded(path) if b"%" in path else path[1:].decode().split("/")
    except UnicodeDecodeError:
        return None
    return segments if _MATCH_NOTHING.isdisjoint(segments) else None


def first_segment(path: bytes) -> str:
    """The first segment of a raw path, decoded; of any path, also one that `split` refuses."""
    return unquote_to_bytes(path[1:].partition(b"/")[0]).decode(errors="replace")


def _decoded(path: bytes) -> list[str]:
    return [unquote_to_bytes(segment).decode() for segment in path[1:].split(b"/")]
