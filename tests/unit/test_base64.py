"""The base64 of a sensitive body, for any object and any fault: what is read, what is refused."""

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

from gateway.edge.exchange import AsgiExchange, read_body
from gateway.registry.records import Route
from gateway.stages.decode.decoder import decode
from gateway.values import Params, Rejection

MIB = 1024 * 1024
CHUNK = 64 * 1024
BREAKS = ("\n", "\r", "\r\n")
ALLOWED = string.ascii_letters + string.digits + "+/-_=\r\n"
ALPHABETS: list[Callable[[bytes], bytes]] = [base64.standard_b64encode, base64.urlsafe_b64encode]


def secret(body: bytes, made: Route | None = None) -> Params:
    return decode(request(), match(made or route(sensitive_params=True)), body)


def refused(body: bytes) -> str:
    return refusal(lambda: secret(body)).slug


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
    """A JSON object as some client would write it."""
    made = draw(objects)
    indent = draw(st.sampled_from([None, 0, 3]))
    return json.dumps(made, ensure_ascii=draw(st.booleans()), indent=indent).encode()


@st.composite
def broken_into_lines(draw: st.DrawFn, text: str) -> bytes:
    """The text with line breaks anywhere, also at both ends and inside the padding."""
    pieces = [*text]
    for place in draw(st.lists(st.integers(0, len(text)), max_size=8)):
        pieces.insert(place, draw(st.sampled_from(BREAKS)))
    return "".join(pieces).encode()


@examples
@given(data=st.data(), body=written(), encode=st.sampled_from(ALPHABETS), padded=st.booleans())
def test_any_object_is_read_in_either_alphabet_padded_or_not_and_in_any_lines(
    data: st.DataObject, body: bytes, encode: Callable[[bytes], bytes], *, padded: bool
) -> None:
    text = encode(body).decode()
    sent = data.draw(broken_into_lines(text if padded else text.rstrip("=")))
    assert secret(sent).values == orjson.loads(body)


@examples
@given(objects, st.integers(1, 76))
def test_lines_of_any_length_are_joined(made: dict[str, Any], length: int) -> None:
    text = base64.b64encode(orjson.dumps(made))
    lines = [text[at : at + length] for at in range(0, len(text), length)]
    assert secret(b"\r\n".join(lines)).values == made


@examples
@given(written(), st.data())
def test_one_byte_of_no_alphabet_anywhere_spoils_the_body(body: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(body)
    wrong = data.draw(st.integers(0, 255).filter(lambda byte: chr(byte) not in ALLOWED))
    at = data.draw(st.integers(0, len(text)))
    assert refused(text[:at] + bytes([wrong]) + text[at:]) == "invalid-encoded-params"


@examples
@given(written(), st.sampled_from(ALPHABETS), st.integers(-2, 4))
def test_padding_is_whole_or_absent(
    body: bytes, encode: Callable[[bytes], bytes], more: int
) -> None:
    text = encode(body)
    bare = text.rstrip(b"=")
    right = len(text) - len(bare)
    given_padding = max(0, right + more)
    sent = bare + b"=" * given_padding
    if given_padding in (0, right):
        assert secret(sent).values == orjson.loads(body)
    else:
        assert refused(sent) == "invalid-encoded-params"


@examples
@given(written(), st.data())
def test_padding_stands_nowhere_but_at_the_end(body: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(body)
    at = data.draw(st.integers(0, len(text.rstrip(b"=")) - 1))
    assert refused(text[:at] + b"=" + text[at:]) == "invalid-encoded-params"


@examples
@given(objects, st.data())
def test_a_letter_too_many_or_too_few_is_no_base64(
    made: dict[str, Any], data: st.DataObject
) -> None:
    body = orjson.dumps(made)
    # To whole groups of four, so that one letter more is a rest that no byte can have.
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
def test_content_that_is_not_utf8_is_refused(wrong: bytes, name: str) -> None:
    # Without the object's own end, so that the bytes stand in text and nothing follows them.
    body = b'{"a":"' + name.replace('"', "").replace("\\", "").encode() + wrong + b'"}'
    assert refused(base64.b64encode(body)) == "invalid-encoded-params"


@examples
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_at_all_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for body in (raw, base64.b64encode(raw)):
        try:
            found = secret(body).values
        except Rejection as rejection:
            assert rejection.slug in {"invalid-encoded-params", "no-params-decoded"}
        else:
            assert isinstance(found, dict)


@examples
@given(objects)
def test_an_object_that_is_not_encoded_is_refused(made: dict[str, Any]) -> None:
    assert refused(orjson.dumps(made)) == "invalid-encoded-params"


@examples
@given(values.filter(lambda value: not isinstance(value, dict)))
def test_a_value_that_is_no_object_holds_no_params(value: object) -> None:
    assert refused(base64.b64encode(orjson.dumps(value))) == "no-params-decoded"


def large() -> tuple[bytes, str]:
    """A body of exactly 10 MiB, and the text that it holds."""
    around = len(b'{"text":""}')
    text = "x" * (10 * MIB // 4 * 3 - around)
    body = base64.b64encode(orjson.dumps({"text": text}))
    assert len(body) == 10 * MIB
    return body, text


async def sent(body: bytes, made: Route, *, announced: bool) -> Params:
    """The params of a body that comes in pieces, with or without its length in the head."""
    pieces = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    messages = [
        {"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]}
        for piece in pieces
    ]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return messages.pop(0)

    async def send(_: Any) -> None:
        raise AssertionError("nothing is answered here")

    head = [(b"content-length", str(len(body)).encode())] if announced else []
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": head}
    return secret(await read_body(AsgiExchange(scope, receive, send), made.max_body), made)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
async def test_ten_mebibytes_are_read_where_a_route_allows_them(*, announced: bool) -> None:
    body, text = large()
    made = route(sensitive_params=True, max_body=10 * MIB)
    assert (await sent(body, made, announced=announced)).values == {"text": text}


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not-announced"])
@pytest.mark.parametrize("allowed", [10 * MIB - 1, MIB, 200], ids=ascii)
async def test_and_are_too_large_where_it_does_not(allowed: int, *, announced: bool) -> None:
    made = route(sensitive_params=True, max_body=allowed)
    with pytest.raises(Rejection) as caught:
        await sent(large()[0], made, announced=announced)
    assert caught.value.slug == "payload-too-large"
