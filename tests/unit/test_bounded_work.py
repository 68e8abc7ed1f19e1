"""The work for a request is bounded; calls and values are counted, since time depends on load."""

import base64
import contextlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attack_corpus
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, match, refusal, request, route

from gateway.registry.records import DEFAULT_MAX_VALUES
from gateway.stages.decode import json_body
from gateway.stages.decode.decoder import decode
from gateway.stages.validate.validator import validate
from gateway.values import Rejection

MAX_CALLS = 150_000
"""Calls of functions, in Python and in C; a million take a tenth of a second."""

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "ids": {"type": "array", "items": {"type": "integer"}},
        "free": {"type": "object", "additionalProperties": True},
    },
}


def calls_of(work: Callable[[], object]) -> int:
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def answered(content_type: bytes, body: bytes, *, sensitive: bool = False) -> None:
    """Decode and validate, as the pipeline does; a refusal is an answer."""
    found = match(route(schema=SCHEMA, sensitive_params=sensitive))
    with contextlib.suppress(Rejection):
        validate(decode(request(content_type=content_type.decode()), found, body), found)


@pytest.mark.parametrize("name", attack_corpus.BODIES)
def test_bounded_calls_for_any_body(name: str) -> None:
    content_type, body = attack_corpus.BODIES[name]
    assert len(body) <= 1024 * 1024
    assert calls_of(lambda: answered(content_type, body)) < MAX_CALLS


@pytest.mark.parametrize(
    "name", [name for name, (kind, _) in attack_corpus.BODIES.items() if kind == attack_corpus.JSON]
)
@pytest.mark.parametrize("sensitive", [False, True], ids=["plain", "base64"])
def test_bounded_values_for_any_json(
    name: str, *, sensitive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def loads(text: bytes) -> Any:
        value = orjson.loads(text)
        counts.append(separators(value))
        return value

    parser = SimpleNamespace(loads=loads, JSONDecodeError=orjson.JSONDecodeError)
    monkeypatch.setattr(json_body, "orjson", parser)
    content_type, body = attack_corpus.BODIES[name]
    answered(content_type, base64.b64encode(body) if sensitive else body, sensitive=sensitive)
    assert max(counts, default=0) <= DEFAULT_MAX_VALUES


def body_of(values: int) -> bytes:
    """JSON whose separators are so many: the outer brackets, and the items of a list."""
    return b'{"a":[' + b",".join([b"1"] * (values - 1)) + b"]}"


def test_values_above_the_limit_are_refused_before_parsing() -> None:
    found = match(route(max_values=50))
    kind = request(content_type="application/json")
    assert len(decode(kind, found, body_of(50)).values["a"]) == 49
    rejection = refusal(lambda: decode(kind, found, body_of(51)))
    assert rejection.slug == "invalid-encoded-params"
    assert "more than 50 values" in str(rejection.message)


def test_values_of_a_sensitive_route_are_limited_too() -> None:
    found = match(route(max_values=50, sensitive_params=True))
    decode(request(), found, base64.b64encode(body_of(50)))
    body = base64.b64encode(body_of(51))
    assert refusal(lambda: decode(request(), found, body)).slug == "invalid-encoded-params"


def test_values_default_is_twenty_thousand() -> None:
    kind = request(content_type="application/json")
    decode(kind, match(), body_of(20_000))
    assert refusal(lambda: decode(kind, match(), body_of(20_001))).slug == "invalid-encoded-params"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('a",[{\\]}:é\n', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text('a",[{\\', max_size=4), inner)
    ),
    max_leaves=30,
)


def separators(value: Any) -> int:
    """How many commas and opening brackets a value has when it is written."""
    if not isinstance(value, dict | list):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(map(separators, items))


@examples
@given(_json)
def test_values_in_strings_do_not_count(value: Any) -> None:
    count = separators(value)
    text = orjson.dumps(value)
    assert not json_body.exceeds(text, count)
    assert count == 0 or json_body.exceeds(text, count - 1)
