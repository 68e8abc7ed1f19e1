"""Decode: path, body and query to one object of params.

A param of the path wins over the body, and the body over the query. On a sensitive route the whole
body is base64, and neither the query nor the content type is read.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from gateway import statuses
from gateway.registry.table import Match
from gateway.stages.decode import brackets
from gateway.stages.decode.limits import MAX_DEPTH, undecodable
from gateway.values import Params, Rejection, Request

BodyParser: TypeAlias = Callable[[bytes], dict[str, Any]]

_EMPTY: Mapping[str, Any] = {}
_NONE: frozenset[str] = frozenset()
_BACKSLASH = ord("\\")
_PERCENT = ord("%")
_BRACKET = ord("[")
_BLANKS = b" \t\r\n"
_JSON_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n+]*(?:[{\[]|%7B|%5B)", re.IGNORECASE)
_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF8 = {"utf-8", "utf8", "us-ascii"}


def decode(request: Request, match: Match, body: bytes) -> Params:
    """The params of path, body and query, merged.

    Raises Rejection: invalid-content-type, invalid-encoded-params, no-params-decoded.
    """
    if match.route.sensitive_params:
        return _decode_sensitive(request, match, body)
    query = brackets.parse(request.query) if request.query else _EMPTY
    values, from_text = _decode_body(request, body)
    if body and not (values or query or match.path_params or request.bearer):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    holds_nul = _may_hold_nul(body)
    if not (query or match.path_params):
        return Params(values, from_text, holds_nul)
    holds_nul = holds_nul or _may_hold_nul(request.query)
    texts = query.keys() - values.keys() | from_text | match.path_params.keys()
    return Params({**query, **values, **match.path_params}, frozenset(texts), holds_nul)


def _decode_sensitive(request: Request, match: Match, body: bytes) -> Params:
    if not body:
        raise Rejection(statuses.NO_PARAMS_DECODED)
    text = _decode_base64(body)
    values = {**_parse_json(text), **match.path_params}
    if not (values or request.bearer):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    return Params(values, frozenset(match.path_params), _may_hold_nul(text))


def _decode_base64(body: bytes) -> bytes:
    """Decode either alphabet of RFC 4648, perhaps with padding, line breaks, spaces at the ends."""
    text = body.strip(_BLANKS).translate(bytes.maketrans(b"-_", b"+/"), b"\r\n")
    unpadded = text.rstrip(b"=")
    padding = b"=" * (-len(unpadded) % 4)
    if text != unpadded and text != unpadded + padding:
        raise undecodable("the base64 padding is incorrect")
    try:
        return base64.b64decode(unpadded + padding, validate=True)
    except binascii.Error as error:
        raise undecodable("the body is not valid base64") from error


def _decode_body(request: Request, body: bytes) -> tuple[dict[str, Any], frozenset[str]]:
    """The params of the body, and the names of those that came as text."""
    if not body:
        return {}, _NONE
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise Rejection(statuses.INVALID_CONTENT_TYPE, "Send the body without Content-Encoding.")
    parse = _parser_of(request.headers.get(b"content-type", b""))
    if parse is _parse_json:
        return parse(body), _NONE
    if _JSON_BEGINS.match(body):
        # What `curl -d` sends without a content type. Read as a form, it would become param names.
        message = "The body looks like JSON: send it with `Content-Type: application/json`."
        raise Rejection(statuses.INVALID_CONTENT_TYPE, message)
    values = parse(body)
    return values, frozenset(values)


@lru_cache(maxsize=64)
def _parser_of(content_type: bytes) -> BodyParser:
    """The parser for a content type; cached, since callers use only a few."""
    kind, _, parameters = content_type.decode("latin-1").lower().partition(";")
    kind = kind.strip()
    if not _is_utf8(parameters):
        raise Rejection(statuses.INVALID_CONTENT_TYPE, "The charset of the body must be UTF-8.")
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return _parse_json
    if kind == "application/x-www-form-urlencoded":
        return brackets.parse
    raise Rejection(statuses.INVALID_CONTENT_TYPE)


def _is_utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"') in _UTF8
    return True


def _parse_json(text: bytes) -> dict[str, Any]:
    """A JSON object. orjson refuses NaN, Infinity, lone surrogates and invalid UTF-8."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise undecodable(_json_error(text, error)) from error
    # Counting is cheaper than walking: only a body with many brackets can be too deep.
    lists = text.count(b"[") if _BRACKET in text else 0
    if text.count(b"{") + lists > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise undecodable(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    return value


def _json_error(text: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a body, as far as its first bytes and the parser's message tell."""
    if text.startswith(codecs.BOM_UTF8):
        return "the body begins with a byte order mark; send UTF-8 without it"
    if text.startswith(_UTF16_BOMS) or b"\0" in text[:4]:
        return "the body is UTF-16 or UTF-32; send UTF-8"
    if error.msg.startswith("str is not valid UTF-8"):
        return "the body is not UTF-8"
    position = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("trailing comma"):
        bracket = error.doc[error.pos + 1 :].lstrip()[:1]
        return f"a comma before the closing {bracket} at {position}"
    return f"the JSON is invalid at {position}"


def _depth(value: Any) -> int:  # noqa: ANN401 - JSON is any
    """How many levels of objects and lists; a loop, since a caller could exhaust the stack."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in _children(item)]
    return depth


def _children(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _may_hold_nul(raw: bytes) -> bool:
    # Python finds a byte given as a number ten times as fast as a sequence of bytes.
    return (
        0 in raw or (_BACKSLASH in raw and b"\\u0000" in raw) or (_PERCENT in raw and b"%00" in raw)
    )
