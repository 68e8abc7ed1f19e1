"""Sensitive routes: the whole body is base64 text of a JSON object, and nothing else counts."""

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


def secret(body: bytes, query: bytes = b"", **headers: str) -> Params:
    return decode(request(query, **headers), match(SENSITIVE), body)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param(ENCODED, {"a": 1}, id="padded"),
        pytest.param(ENCODED.rstrip(b"="), {"a": 1}, id="no-padding"),
        pytest.param(ENCODED + b"\n", {"a": 1}, id="line-break-after"),
        pytest.param(b"\r\n" + ENCODED, {"a": 1}, id="line-break-before"),
        pytest.param(b"\r\n".join([ENCODED[:3], ENCODED[3:]]), {"a": 1}, id="line-break-between"),
        pytest.param(ENCODED[:-1] + b"\n=", {"a": 1}, id="line-break-in-the-padding"),
        pytest.param(b"eyJhIjoib29vb28ifQ==", {"a": "ooooo"}, id="standard-alphabet"),
        pytest.param(b"eyJhIjoib29vb28ifQ==", {"a": "ooooo"}, id="url-safe-alphabet"),
        pytest.param(base64.b64encode(b'{"a":1,"a":2}'), {"a": 2}, id="duplicate-key"),
    ],
)
def test_a_sensitive_body_is_base64_text_of_json(body: bytes, values: dict[str, Any]) -> None:
    assert secret(body).values == values


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":1}', id="plain-json"),
        pytest.param(b"{}", id="plain-json-of-nothing"),
        pytest.param(b"a=1", id="form"),
        pytest.param(b"body=" + ENCODED, id="base64-in-a-form"),
        pytest.param(b'"' + ENCODED + b'"', id="base64-in-quotes"),
        pytest.param(ENCODED + b"=", id="padding-too-long"),
        pytest.param(ENCODED[:-1], id="padding-too-short"),
        pytest.param(b"=" + ENCODED, id="padding-first"),
        pytest.param(ENCODED + ENCODED, id="padding-between"),
        pytest.param(b"====", id="padding-alone"),
        pytest.param(b"eyJhI", id="one-letter-too-many"),
        pytest.param(ENCODED[:4] + b" " + ENCODED[4:], id="space"),
        pytest.param(ENCODED + b"\t", id="tab"),
        pytest.param(b"\xff\xfe", id="not-ascii"),
        pytest.param("ąę".encode(), id="not-ascii-utf-8"),
        pytest.param(base64.b64encode(b'{"a":"\xff"}'), id="not-utf-8"),
        pytest.param(base64.b64encode(b"a=1"), id="not-json"),
        pytest.param(base64.b64encode(b'{"a":NaN}'), id="nan"),
        pytest.param(base64.b64encode(base64.b64encode(b'{"a":1}')), id="encoded-twice"),
        pytest.param(base64.b64encode(b'{"a":' * 33 + b"1" + b"}" * 33), id="33-levels"),
    ],
)
def test_a_sensitive_body_that_is_anything_else_is_refused(body: bytes) -> None:
    assert refusal(lambda: secret(body)).slug == "invalid-encoded-params"


@pytest.mark.parametrize("text", [b"[]", b"null", b"5", b'"text"'])
def test_a_sensitive_body_of_no_object_holds_no_params(text: bytes) -> None:
    assert refusal(lambda: secret(base64.b64encode(text))).slug == "no-params-decoded"


@pytest.mark.parametrize("query", [b"", b"a=1"], ids=["no-query", "query"])
def test_a_sensitive_route_needs_a_body(query: bytes) -> None:
    assert (
        refusal(lambda: secret(b"", query, content_type="application/json")).slug
        == "no-params-decoded"
    )


@pytest.mark.parametrize("query", [b"", b"a=1"], ids=["no-query", "query"])
def test_a_sensitive_body_of_an_empty_object_holds_no_params(query: bytes) -> None:
    body = base64.b64encode(b"{}")
    assert refusal(lambda: secret(body, query)).slug == "no-params-decoded"


def test_a_sensitive_body_of_an_empty_object_may_stand_beside_a_token_in_the_header() -> None:
    assert secret(base64.b64encode(b"{}"), authorization="Bearer x").values == {}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json", "application/x-www-form-urlencoded", "image/png", "x"],
)
def test_a_sensitive_route_does_not_look_at_the_content_type(content_type: str) -> None:
    assert secret(ENCODED, content_type=content_type).values == {"a": 1}


@pytest.mark.parametrize("query", [b"b=2&a=3", b"a[=broken", b"a=%FF", b"a=%00"])
def test_a_sensitive_route_does_not_read_the_query(query: bytes) -> None:
    assert secret(ENCODED, query) == Params({"a": 1}, frozenset(), holds_nul=False)


def test_a_path_param_beats_a_sensitive_body() -> None:
    params = decode(request(), match(SENSITIVE, a=7), ENCODED)
    assert params == Params({"a": 7}, frozenset({"a"}), holds_nul=False)


@pytest.mark.parametrize(
    "body",
    [b'{"pin":"hunter2"', base64.b64encode(b'{"pin":"hunter2"'), b"hunter2hunter2!", b"hunter2=="],
)
def test_a_refused_sensitive_body_is_never_quoted(body: bytes) -> None:
    refused = refusal(lambda: secret(body))
    assert "hunter2" not in f"{refused.message}{refused.errors}{refused}"


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
def test_either_alphabet_with_any_line_breaks_is_read_back(
    values: dict[str, Any], encode: Any, padded: Any, chance: random.Random
) -> None:
    text = encode(orjson.dumps(values)).decode()
    pieces = [*(text if padded else text.rstrip("="))]
    for _ in range(chance.randrange(6)):
        pieces.insert(chance.randrange(len(pieces) + 1), chance.choice(["\n", "\r\n"]))
    assert secret("".join(pieces).encode()).values == values


def test_a_nul_in_a_sensitive_body_is_noticed() -> None:
    assert secret(base64.b64encode(b'{"a":"\\u0000"}')).holds_nul
