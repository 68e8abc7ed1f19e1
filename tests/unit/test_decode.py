"""Decoding bodies, queries and paths to params, rule by rule."""

from typing import Any

import orjson
import pytest
from support.builders import match, refusal, request

from gateway.stages.decode.decoder import decode
from gateway.values import Params

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def decoded(body: bytes, content_type: str = JSON, query: bytes = b"") -> Params:
    return decode(request(query, content_type=content_type), match(), body)


def nested(levels: int, kind: str = "object") -> bytes:
    """JSON with this many levels of objects, or of lists inside one object."""
    if kind == "object":
        return b'{"a":' * levels + b"1" + b"}" * levels
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json ; charset="UTF-8"',
        "application/json; charset=utf8",
        "application/json; charset=us-ascii",
        "application/json; version=1",
        "application/vnd.api+json",
        "application/merge-patch+json; charset=utf-8",
    ],
)
def test_decode_json_content_type_is_accepted(content_type: str) -> None:
    assert decoded(b'{"a":1}', content_type).values == {"a": 1}


@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM}; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"]
)
def test_decode_form_content_type_is_accepted(content_type: str) -> None:
    assert decoded(b"a=1", content_type).values == {"a": "1"}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "application/jsonp",
        "application/json5",
        "application/notjson",
        "application/+jsonx",
        "text/plain",
        "text/html",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-2",
        f"{FORM}; charset=latin1",
        "text/plain; application/json",
    ],
)
def test_decode_other_content_type_is_refused(content_type: str) -> None:
    assert refusal(lambda: decoded(b'{"a":1}', content_type)).slug == "invalid-content-type"


def test_decode_body_without_a_content_type_is_refused() -> None:
    rejection = refusal(lambda: decode(request(), match(), b'{"a":1}'))
    assert rejection.slug == "invalid-content-type"


def test_decode_compressed_body_is_refused() -> None:
    compressed = request(content_type=JSON, content_encoding="gzip")
    assert refusal(lambda: decode(compressed, match(), b"\x1f\x8b")).slug == "invalid-content-type"


def test_decode_content_encoding_identity_is_accepted() -> None:
    plain = request(content_type=JSON, content_encoding="identity")
    assert decode(plain, match(), b'{"a":1}').values == {"a": 1}


@pytest.mark.parametrize("content_type", ["", JSON, FORM, "text/plain", "application/xml"])
def test_decode_empty_body_has_no_params_whatever_the_content_type(content_type: str) -> None:
    assert decoded(b"", content_type).values == {}
    assert decoded(b"", content_type, b"a=1").values == {"a": "1"}


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b"true", b'"text"', b'[{"a":1}]', b"1.5"])
@pytest.mark.parametrize("query", [b"", b"a=1"], ids=["no-query", "query"])
def test_decode_json_other_than_an_object_is_refused(body: bytes, query: bytes) -> None:
    assert refusal(lambda: decoded(body, query=query)).slug == "no-params-decoded"


bodies_without_params = pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{}", JSON), (b" { }\n", JSON), (b"&", FORM), (b"&&&", FORM)],
)


@bodies_without_params
@pytest.mark.parametrize("query", [b"", b"&"])
def test_decode_body_without_params_is_refused(
    body: bytes, content_type: str, query: bytes
) -> None:
    assert refusal(lambda: decoded(body, content_type, query)).slug == "no-params-decoded"


@bodies_without_params
def test_decode_body_without_params_is_accepted_beside_a_query(
    body: bytes, content_type: str
) -> None:
    assert decoded(body, content_type, b"a=1").values == {"a": "1"}


@bodies_without_params
def test_decode_body_without_params_is_accepted_beside_a_path_param(
    body: bytes, content_type: str
) -> None:
    incoming = request(content_type=content_type)
    assert decode(incoming, match(id=7), body).values == {"id": 7}


@bodies_without_params
def test_decode_body_without_params_is_accepted_beside_a_bearer_token(
    body: bytes, content_type: str
) -> None:
    incoming = request(content_type=content_type, authorization="Bearer x")
    assert decode(incoming, match(), body).values == {}


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="duplicate-key"),
        pytest.param(b'{"a":{"b":1},"a":{"c":2}}', {"a": {"c": 2}}, id="duplicate-object"),
        pytest.param(b' \n{"a" : 1}\n', {"a": 1}, id="white-space"),
        pytest.param('{"ż":"ó"}'.encode(), {"ż": "ó"}, id="utf-8"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}, id="surrogate-pair"),
        pytest.param(b'{"a":[1,1.5,true,null]}', {"a": [1, 1.5, True, None]}, id="types-are-kept"),
        pytest.param(b'{"a[b]":1}', {"a[b]": 1}, id="brackets-mean-nothing"),
        pytest.param(b'{"a":""}', {"a": ""}, id="empty-text"),
    ],
)
def test_decode_json_object_is_kept_unchanged(body: bytes, values: dict[str, Any]) -> None:
    params = decoded(body)
    assert params.values == values
    assert not params.from_text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b" ", id="white-space"),
        pytest.param(b'{"a":1}x', id="more-after-it"),
        pytest.param(b'{"a":1}{"b":2}', id="two-objects"),
        pytest.param(b"{'a':1}", id="single-quotes"),
        pytest.param(b'{"a":1,}', id="comma-at-the-end"),
        pytest.param(b'{"a":01}', id="leading-zero"),
        pytest.param(b"a=1", id="form"),
        pytest.param(b"NaN", id="nan-alone"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":-Infinity}', id="minus-infinity"),
        pytest.param(b'{"a":1e999}', id="too-large-for-a-double"),
        pytest.param(b'{"a":"\\ud800"}', id="lone-high-surrogate"),
        pytest.param(b'{"a":"\\udc00"}', id="lone-low-surrogate"),
        pytest.param(b'{"\\ud800":1}', id="lone-surrogate-in-a-key"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate-in-utf-8"),
        pytest.param(b'{"a":"\xff"}', id="not-utf-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte-order-mark"),
        pytest.param(b'{"a":"\0"}', id="raw-nul"),
    ],
)
def test_decode_invalid_json_is_refused(body: bytes) -> None:
    assert refusal(lambda: decoded(body)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"a":"ó"}'.encode("latin-1"), "the body is not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "the body is UTF-16 or UTF-32; send UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "the body is UTF-16 or UTF-32; send UTF-8"),
        ('{"a":1}'.encode("utf-32-be"), "the body is UTF-16 or UTF-32; send UTF-8"),
        (
            b'\xef\xbb\xbf{"a":1}',
            "the body begins with a byte order mark; send UTF-8 without it",
        ),
        (b'{"a":1,}', "a comma before the closing } at line 1, column 7"),
        ('{"ó":\n [1, \n]}'.encode(), "a comma before the closing ] at line 2, column 4"),
        (b'{"a":1,,"b":2}', "the JSON is invalid at line 1, column 8"),
        (b'{"a":', "the JSON is invalid at line 1, column 6"),
        (b" \r\n\t", "the body is empty: it has only white space"),
    ],
)
def test_decode_invalid_json_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    assert refusal(lambda: decoded(body)).message == f"The params cannot be decoded: {reason}."


@pytest.mark.parametrize(
    "body",
    [b'{"a":1}', b" \r\n[1]", b"%7B%22a%22%3A1%7D", b"%5b1%5d", b"+{}", b'\xef\xbb\xbf{"a":1}'],
)
def test_decode_json_sent_as_a_form_is_refused_with_the_right_content_type(body: bytes) -> None:
    refused = refusal(lambda: decoded(body, FORM))
    assert refused.slug == "invalid-content-type"
    assert "`Content-Type: application/json`" in (refused.message or "")


@pytest.mark.parametrize("kind", ["object", "list"])
def test_decode_32_levels_are_accepted_and_33_are_refused(kind: str) -> None:
    assert decoded(nested(32, kind)).values == orjson.loads(nested(32, kind))
    assert refusal(lambda: decoded(nested(33, kind))).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(nested(1000), id="1000-levels"),
        pytest.param(nested(100_000), id="100000-levels"),
        pytest.param(b'{"a":' * 100_000, id="never-closed"),
        pytest.param(b"[" * 33 + b"]" * 33, id="33-lists-and-no-object"),
        pytest.param(b'{"a":[' + b"{}," * 50 + nested(32) + b"]}", id="deep-after-wide"),
    ],
)
def test_decode_very_deep_body_is_refused_without_a_crash(body: bytes) -> None:
    assert refusal(lambda: decoded(body)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([{"b": [1]}] * 1000, id="a-long-list"),
        pytest.param({str(number): {"b": []} for number in range(1000)}, id="many-keys"),
        pytest.param("[{" * 1000, id="brackets-in-text"),
    ],
)
def test_decode_wide_body_is_accepted(value: object) -> None:
    assert decoded(orjson.dumps({"a": value})).values == {"a": value}


def test_decode_path_wins_over_body_and_body_over_query() -> None:
    incoming = request(b"a=query&b=query&c=query&d=query", content_type=JSON)
    params = decode(incoming, match(a="path", b="path"), b'{"a":"body","c":"body","e":"body"}')
    assert params.values == {"a": "path", "b": "path", "c": "body", "d": "query", "e": "body"}


def test_decode_values_of_body_and_query_are_not_merged() -> None:
    assert decoded(b'{"a":{"x":1}}', query=b"a[y]=2").values == {"a": {"x": 1}}


def test_decode_null_in_a_body_wins_over_the_query() -> None:
    assert decoded(b'{"a":null}', query=b"a=1").values == {"a": None}


def test_decode_params_of_query_and_path_are_marked_as_text() -> None:
    incoming = request(b"a=1&b=2&c[d]=3", content_type=JSON)
    params = decode(incoming, match(id=7), b'{"a":1,"e":"5"}')
    assert params.from_text == {"b", "c", "id"}


def test_decode_params_of_a_form_are_marked_as_text() -> None:
    assert decoded(b"a=1&b[]=2", FORM, b"a=9&c=3").from_text == {"a", "b", "c"}


@pytest.mark.parametrize("body", [b"", b'{"x":1}'], ids=["no-body", "body"])
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(b"a[=1", id="brackets"),
        pytest.param(b"a=1&a[b]=2", id="conflict"),
        pytest.param(b"a=%FF", id="not-utf-8"),
        pytest.param(b"&".join([b"a=1"] * 1001), id="1001-pairs"),
    ],
)
def test_decode_invalid_query_is_refused(query: bytes, body: bytes) -> None:
    assert refusal(lambda: decoded(body, query=query)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    ("body", "content_type", "query"),
    [
        pytest.param(b'{"a":"x\\u0000"}', JSON, b"", id="json"),
        pytest.param(b'{"a\\u0000":1}', JSON, b"", id="json-key"),
        pytest.param(b"a=x%00", FORM, b"", id="form"),
        pytest.param(b"a=\0", FORM, b"", id="form-raw"),
        pytest.param(b"", JSON, b"a=x%00y", id="query"),
        pytest.param(b"", JSON, b"a%00=x", id="query-key"),
    ],
)
def test_decode_nul_in_text_is_noticed(body: bytes, content_type: str, query: bytes) -> None:
    assert decoded(body, content_type, query).holds_nul


def test_decode_text_without_a_nul_is_not_marked() -> None:
    assert not decoded(b'{"a":"x","b":[0,"00"]}', query=b"c=0").holds_nul
