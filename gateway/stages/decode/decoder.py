"""Decode: path, body and query to one object of params.

A param of the path wins over the body, and the body over the query. On a sensitive route the whole
body is base64, and neither the query nor the content type is read.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from gateway import statuses
from gateway.edge.large_bodies import LARGE_BODY
from gateway.registry.table import Match
from gateway.stages.decode import brackets, json_body
from gateway.stages.decode.limits import undecodable
from gateway.values import Params, Rejection, Request

BodyParser: TypeAlias = Callable[[bytes, int], dict[str, Any]]

_EMPTY: Mapping[str, Any] = {}
_NONE: frozenset[str] = frozenset()
_BACKSLASH = ord("\\")
_PERCENT = ord("%")
_BLANKS = b" \t\r\n"
_JSON_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n+]*+(?:[{\[]|%7B|%5B)", re.IGNORECASE)
_UTF8 = {"utf-8", "utf8", "us-ascii"}


def decode(request: Request, match: Match, body: bytes) -> Params:
    """The params of path, body and query, merged.

    Raises Rejection: invalid-content-type, invalid-encoded-params, no-params-decoded.
    """
    if match.route.sensitive_params:
        return _decode_sensitive(request, match, body)
    query = brackets.parse(request.query, match.route.max_values) if request.query else _EMPTY
    values, from_text = _decode_body(request, body, match.route.max_values)
    if body and not (values or query or match.path_params or request.bearer):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    holds_nul, is_large = _may_hold_nul(body), len(body) > LARGE_BODY
    if not (query or match.path_params):
        return Params(values, from_text, holds_nul, is_large)
    holds_nul = holds_nul or _may_hold_nul(request.query)
    texts = query.keys() - values.keys() | from_text | match.path_params.keys()
    return Params({**query, **values, **match.path_params}, frozenset(texts), holds_nul, is_large)


def _decode_sensitive(request: Request, match: Match, body: bytes) -> Params:
    if not body:
        raise Rejection(statuses.NO_PARAMS_DECODED)
    text = _decode_base64(body)
    values = {**json_body.parse(text, match.route.max_values), **match.path_params}
    if not (values or request.bearer):
        raise Rejection(statuses.NO_PARAMS_DECODED)
    is_large = len(text) > LARGE_BODY
    return Params(values, frozenset(match.path_params), _may_hold_nul(text), is_large)


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


def _decode_body(
    request: Request, body: bytes, max_values: int
) -> tuple[dict[str, Any], frozenset[str]]:
    """The params of the body, and the names of those that came as text."""
    if not body:
        return {}, _NONE
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise Rejection(statuses.INVALID_CONTENT_TYPE, "Send the body without Content-Encoding.")
    parse = _parser_of(request.headers.get(b"content-type", b""))
    if parse is json_body.parse:
        return parse(body, max_values), _NONE
    if _JSON_BEGINS.match(body):
        # What `curl -d` sends without a content type. Read as a form, it would become param names.
        message = "The body looks like JSON: send it with `Content-Type: application/json`."
        raise Rejection(statuses.INVALID_CONTENT_TYPE, message)
    values = parse(body, max_values)
    return values, frozenset(values)


@lru_cache(maxsize=64)
def _parser_of(content_type: bytes) -> BodyParser:
    """The parser for a content type; cached, since callers use only a few."""
    kind, _, parameters = content_type.decode("latin-1").lower().partition(";")
    kind = kind.strip()
    if not _is_utf8(parameters):
        raise Rejection(statuses.INVALID_CONTENT_TYPE, "The charset of the body must be UTF-8.")
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return json_body.parse
    if kind == "application/x-www-form-urlencoded":
        return brackets.parse
    raise Rejection(statuses.INVALID_CONTENT_TYPE)


def _is_utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"') in _UTF8
    return True


def _may_hold_nul(raw: bytes) -> bool:
    # Python finds a byte given as a number ten times as fast as a sequence of bytes.
    return (
        0 in raw or (_BACKSLASH in raw and b"\\u0000" in raw) or (_PERCENT in raw and b"%00" in raw)
    )
