"""Base64 of sensitive bodies, for any object and any error in it."""

import asyncio
import base64
import json
import string
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, match, refusal, request, route

from gateway.edge.admission import Admission
from gateway.edge.exchange import AsgiExchange
from gateway.registry.records import Route
from gateway.stages.decode.decoder import decode
from gateway.values import Params, Rejection

MIB = 1024 * 1024
CHUNK = 64 * 1024
BREAKS = ("\n", "\r", "\r\n")
ALLOWED = string.ascii_letters + string.digits + "+/-_=\r\n"
ALPHABETS: list[Callable[[bytes], bytes]] = [base64.standard_b64encode, base64.urlsafe_b64encode]


def decoded(body: bytes, route_: Route | None = None) -> Params:
    return decode(request(), match(route_ or route(sensitive_params=True)), body)


def refused(body: bytes) -> str:
    return refusal(lambda: decoded(body)).slug


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner), max_leaves=12
)
objects = st.dictionaries(texts, values, min_size=1, max_size=5)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A JSON object in one of the ways in which clients write it."""
    params = draw(objects)
    indent = draw(st.sampled_from([None, 0, 3]))
    return json.dumps(params, ensure_ascii=draw(st.booleans()), indent=indent).encode()


@st.composite
def broken_into_lines(draw: st.DrawFn, text: str) -> bytes:
    """The text with line breaks anywhere, also at both ends and inside the padding."""
    characters = [*text]
    for index in draw(st.lists(st.integers(0, len(text)), max_size=8)):
        characters.insert(index, draw(st.sampled_from(BREAKS)))
    return "".join(characters).encode()


@examples
@given(data=st.data(), body=written(), encode=st.sampled_from(ALPHABETS), padded=st.booleans())
def test_base64_of_any_object_is_read_in_either_alphabet_padding_and_lines(
    data: st.DataObject, body: bytes, encode: Callable[[bytes], bytes], *, padded: bool
) -> None:
    text = encode(body).decode()
    sent = data.draw(broken_into_lines(text if padded else text.rstrip("=")))
    assert decoded(sent).values == orjson.loads(body)


@examples
@given(objects, st.integers(1, 76))
def test_base64_lines_of_any_length_are_joined(params: dict[str, Any], length: int) -> None:
    text = base64.b64encode(orjson.dumps(params))
    lines = [text[start : start + length] for start in range(0, len(text), length)]
    assert decoded(b"\r\n".join(lines)).values == params


@examples
@given(written(), st.data())
def test_base64_with_one_byte_outside_the_alphabets_is_refused(
    body: bytes, data: st.DataObject
) -> None:
    text = base64.b64encode(body)
    wrong = data.draw(st.integers(0, 255).filter(lambda byte: chr(byte) not in ALLOWED))
    # Blanks are allowed at the ends.
    index = data.draw(st.integers(1, len(text) - 1))
    assert refused(text[:index] + bytes([wrong]) + text[index:]) == "invalid-encoded-params"


@examples
@given(written(), st.sampled_from(ALPHABETS), st.integers(-2, 4))
def test_base64_padding_is_complete_or_absent(
    body: bytes, encode: Callable[[bytes], bytes], more: int
) -> None:
    text = encode(body)
    unpadded = text.rstrip(b"=")
    complete = len(text) - len(unpadded)
    padding = max(0, complete + more)
    sent = unpadded + b"=" * padding
    if padding in (0, complete):
        assert decoded(sent).values == orjson.loads(body)
    else:
        assert refused(sent) == "invalid-encoded-params"


@examples
@given(written(), st.data())
def test_base64_padding_before_the_end_is_refused(body: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(body)
    index = data.draw(st.integers(0, len(text.rstrip(b"=")) - 1))
    assert refused(text[:index] + b"=" + text[index:]) == "invalid-encoded-params"


@examples
@given(objects, st.data())
def test_base64_of_a_wrong_length_is_refused(params: dict[str, Any], data: st.DataObject) -> None:
    body = orjson.dumps(params)
    # Groups of four letters only: one letter more cannot encode a byte.
    text = base64.b64encode(body + b" " * (-len(body) % 3))
    letter = data.draw(st.sampled_from(string.ascii_letters)).encode()
    assert refused(text + letter) == "invalid-encoded-params"
    assert refused(text[:-3]) == "invalid-encoded-params"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@examples
@given(st.binary(min_size=1, max_size=8).filter(lambda raw: not _is_utf8(raw)), texts)
def test_base64_of_invalid_utf8_is_refused(wrong: bytes, name: str) -> None:
    # `name` has no quote and no backslash, so that the wrong bytes stay inside the string.
    body = b'{"a":"' + name.replace('"', "").replace("\\", "").encode() + wrong + b'"}'
    assert refused(base64.b64encode(body)) == "invalid-encoded-params"


@examples
@given(st.binary(min_size=1, max_size=200))
def test_base64_of_any_bytes_is_read_or_refused_without_a_crash(raw: bytes) -> None:
    for body in (raw, base64.b64encode(raw)):
        try:
            params = decoded(body).values
        except Rejection as rejection:
            assert rejection.slug in {"invalid-encoded-params", "no-params-decoded"}
        else:
            assert isinstance(params, dict)


@examples
@given(objects)
def test_base64_missing_around_an_object_is_refused(params: dict[str, Any]) -> None:
    assert refused(orjson.dumps(params)) == "invalid-encoded-params"


@examples
@given(values.filter(lambda value: not isinstance(value, dict)))
def test_base64_of_a_value_other_than_an_object_is_refused(value: object) -> None:
    assert refused(base64.b64encode(orjson.dumps(value))) == "no-params-decoded"


def large() -> tuple[bytes, str]:
    """A body of exactly 10 MiB, and the text that it holds."""
    overhead = len(b'{"text":""}')
    text = "x" * (10 * MIB // 4 * 3 - overhead)
    body = base64.b64encode(orjson.dumps({"text": text}))
    assert len(body) == 10 * MIB
    return body, text


async def received(body: bytes, route_: Route, *, announced: bool) -> Params:
    """The params of a body that arrives in chunks, with or without a Content-Length."""
    chunks = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}
        for chunk in chunks
    ]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return messages.pop(0)

    async def send(_: Any) -> None:
        raise AssertionError("this test answers nothing")

    head = [(b"content-length", str(len(body)).encode())] if announced else []
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": head}
    admission = Admission(max_in_flight=1, max_bodies=1, max_body_bytes=100 * MIB)
    exchange = AsgiExchange(scope, receive, send)
    return decoded(await admission.read(request(), exchange, route_), route_)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
async def test_base64_of_ten_mebibytes_is_read_if_the_route_allows_it(*, announced: bool) -> None:
    body, text = large()
    large_route = route(sensitive_params=True, max_body=10 * MIB)
    assert (await received(body, large_route, announced=announced)).values == {"text": text}


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
@pytest.mark.parametrize("allowed", [10 * MIB - 1, MIB, 200], ids=ascii)
async def test_base64_of_ten_mebibytes_is_refused_if_the_route_allows_less(
    allowed: int, *, announced: bool
) -> None:
    small_route = route(sensitive_params=True, max_body=allowed)
    with pytest.raises(Rejection) as caught:
        await received(large()[0], small_route, announced=announced)
    assert caught.value.slug == "payload-too-large"
