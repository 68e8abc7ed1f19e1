"""Decoding on sensitive routes: the whole body is a JSON object in base64."""

import base64
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, match, refusal, request, route

from gateway.stages.decode.decoder import decode
from gateway.values import Params

SENSITIVE = route(sensitive_params=True)
ENCODED = base64.b64encode(b'{"a":1}')


def decoded(body: bytes, query: bytes = b"", **headers: str) -> Params:
    return decode(request(query, **headers), match(SENSITIVE), body)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param(ENCODED, {"a": 1}, id="padded"),
        pytest.param(ENCODED.rstrip(b"="), {"a": 1}, id="no-padding"),
        pytest.param(ENCODED + b"\n", {"a": 1}, id="line-break-after"),
        pytest.param(b"\r\n" + ENCODED, {"a": 1}, id="line-break-before"),
        pytest.param(b" " + ENCODED + b" \t\n ", {"a": 1}, id="blanks-at-the-ends"),
        pytest.param(b"\r\n".join([ENCODED[:3], ENCODED[3:]]), {"a": 1}, id="line-break-between"),
        pytest.param(ENCODED[:-1] + b"\n=", {"a": 1}, id="line-break-in-the-padding"),
        pytest.param(b"eyJhIjoib29vb28ifQ==", {"a": "ooooo"}, id="standard-alphabet"),
        pytest.param(b"eyJhIjoib29vb28ifQ==", {"a": "ooooo"}, id="url-safe-alphabet"),
        pytest.param(base64.b64encode(b'{"a":1,"a":2}'), {"a": 2}, id="duplicate-key"),
    ],
)
def test_decode_sensitive_body_is_json_in_base64(body: bytes, values: dict[str, Any]) -> None:
    assert decoded(body).values == values


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":1}', id="plain-json"),
        pytest.param(b"{}", id="plain-json-of-nothing"),
        pytest.param(b"a=1", id="form"),
        pytest.param(ENCODED.replace(b"=", b"%3D"), id="percent-encoded"),
        pytest.param(b"body=" + ENCODED, id="base64-in-a-form"),
        pytest.param(b'"' + ENCODED + b'"', id="base64-in-quotes"),
        pytest.param(ENCODED + b"=", id="padding-too-long"),
        pytest.param(ENCODED[:-1], id="padding-too-short"),
        pytest.param(b"=" + ENCODED, id="padding-first"),
        pytest.param(ENCODED + ENCODED, id="padding-between"),
        pytest.param(b"====", id="padding-alone"),
        pytest.param(b"eyJhI", id="one-letter-too-many"),
        pytest.param(ENCODED[:4] + b" " + ENCODED[4:], id="space"),
        pytest.param(b"\xff\xfe", id="not-ascii"),
        pytest.param("ąę".encode(), id="not-ascii-utf-8"),
        pytest.param(base64.b64encode(b'{"a":"\xff"}'), id="not-utf-8"),
        pytest.param(base64.b64encode(b"a=1"), id="not-json"),
        pytest.param(base64.b64encode(b'{"a":NaN}'), id="nan"),
        pytest.param(base64.b64encode(base64.b64encode(b'{"a":1}')), id="encoded-twice"),
        pytest.param(base64.b64encode(b'{"a":' * 33 + b"1" + b"}" * 33), id="33-levels"),
    ],
)
def test_decode_sensitive_body_of_another_form_is_refused(body: bytes) -> None:
    assert refusal(lambda: decoded(body)).slug == "invalid-encoded-params"


@pytest.mark.parametrize("text", [b"[]", b"null", b"5", b'"text"'])
def test_decode_sensitive_json_other_than_an_object_is_refused(text: bytes) -> None:
    assert refusal(lambda: decoded(base64.b64encode(text))).slug == "no-params-decoded"


@pytest.mark.parametrize("query", [b"", b"a=1"], ids=["no-query", "query"])
def test_decode_sensitive_route_without_a_body_is_refused(query: bytes) -> None:
    assert (
        refusal(lambda: decoded(b"", query, content_type="application/json")).slug
        == "no-params-decoded"
    )


@pytest.mark.parametrize("query", [b"", b"a=1"], ids=["no-query", "query"])
def test_decode_sensitive_empty_object_is_refused(query: bytes) -> None:
    body = base64.b64encode(b"{}")
    assert refusal(lambda: decoded(body, query)).slug == "no-params-decoded"


def test_decode_sensitive_empty_object_is_accepted_beside_a_bearer_token() -> None:
    assert decoded(base64.b64encode(b"{}"), authorization="Bearer x").values == {}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json", "application/x-www-form-urlencoded", "image/png", "x"],
)
def test_decode_sensitive_content_type_is_not_read(content_type: str) -> None:
    assert decoded(ENCODED, content_type=content_type).values == {"a": 1}


@pytest.mark.parametrize("query", [b"b=2&a=3", b"a[=broken", b"a=%FF", b"a=%00"])
def test_decode_sensitive_query_is_not_read(query: bytes) -> None:
    assert decoded(ENCODED, query) == Params({"a": 1}, frozenset(), holds_nul=False)


def test_decode_sensitive_path_param_wins_over_the_body() -> None:
    params = decode(request(), match(SENSITIVE, a=7), ENCODED)
    assert params == Params({"a": 7}, frozenset({"a"}), holds_nul=False)


@pytest.mark.parametrize(
    "body",
    [b'{"pin":"hunter2"', base64.b64encode(b'{"pin":"hunter2"'), b"hunter2hunter2!", b"hunter2=="],
)
def test_decode_sensitive_refusal_never_quotes_the_body(body: bytes) -> None:
    rejection = refusal(lambda: decoded(body))
    assert "hunter2" not in f"{rejection.message}{rejection.errors}{rejection}"


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@examples
@given(
    st.dictionaries(st.text(max_size=5), _json, min_size=1, max_size=4),
    st.sampled_from([base64.standard_b64encode, base64.urlsafe_b64encode]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_decode_sensitive_either_alphabet_with_line_breaks_is_read_back(
    values: dict[str, Any], encode: Any, padded: Any, chance: random.Random
) -> None:
    text = encode(orjson.dumps(values)).decode()
    characters = [*(text if padded else text.rstrip("="))]
    for _ in range(chance.randrange(6)):
        characters.insert(chance.randrange(len(characters) + 1), chance.choice(["\n", "\r\n"]))
    assert decoded("".join(characters).encode()).values == values


def test_decode_sensitive_nul_is_noticed() -> None:
    assert decoded(base64.b64encode(b'{"a":"\\u0000"}')).holds_nul
