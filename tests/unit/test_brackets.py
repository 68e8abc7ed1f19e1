"""Forms and query strings with nested keys, by the rules of Rack and PHP."""

from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, refusal

from gateway.stages.decode import brackets


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&", {"a": "1"}),
        (b"a=", {"a": ""}),
        (b"a", {"a": ""}),
        (b"a=1=2", {"a": "1=2"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a+b=c+d%2B", {"a b": "c d+"}),
        (b"a=%25%zz", {"a": "%%zz"}),
        (b"a=%2525", {"a": "%25"}),
        (b"a=za%C5%BC%C3%B3", {"a": "zażó"}),
        (b"a=za\xc5\xbc", {"a": "zaż"}),
        (b"a=%26%3D%5B", {"a": "&=["}),
        (b"status[name]=Nowe&status[color]=1", {"status": {"name": "Nowe", "color": "1"}}),
        (b"status[name]=a&status[name]=b", {"status": {"name": "b"}}),
        (b"status%5Bname%5D=Nowe", {"status": {"name": "Nowe"}}),
        (b"a[b][c]=1&a[b][d]=2&a[e]=3", {"a": {"b": {"c": "1", "d": "2"}, "e": "3"}}),
        (b"ids[]=1", {"ids": ["1"]}),
        (b"ids[]=1&x=0&ids[]=2", {"ids": ["1", "2"], "x": "0"}),
        (b"ids[0]=1&ids[1]=2", {"ids": {"0": "1", "1": "2"}}),
        (b"a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
        (
            b"items[][sku]=A&items[][qty]=1&items[][sku]=B",
            {"items": [{"sku": "A", "qty": "1"}, {"sku": "B"}]},
        ),
        (
            b"items[][size][w]=1&items[][size][h]=2&items[][size][w]=3",
            {"items": [{"size": {"w": "1", "h": "2"}}, {"size": {"w": "3"}}]},
        ),
        (b"items[][tags][]=x&items[][tags][]=y", {"items": [{"tags": ["x", "y"]}]}),
    ],
)
def test_brackets_become_nested_params(text: bytes, values: dict[str, Any]) -> None:
    assert brackets.parse(text) == values


@pytest.mark.parametrize(
    "text",
    [
        b"a=1&a[b]=2",
        b"a[b]=2&a=1",
        b"a=1&a[]=2",
        b"a[]=2&a=1",
        b"a[]=1&a[b]=2",
        b"a[b]=1&a[]=2",
        b"a[b]=1&a[b][c]=2",
        b"a[b][c]=2&a[b]=1",
        b"a[][b]=1&a[][b][c]=2",
    ],
)
def test_brackets_on_a_key_that_has_another_kind_of_value_are_refused(text: bytes) -> None:
    assert refusal(lambda: brackets.parse(text)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    "text",
    [b"=1", b"[a]=1", b"[]=1", b"a[=1", b"a]=1", b"a[b=1", b"a[b]c=1", b"a[[b]]=1", b"a[b]]=1"],
)
def test_brackets_that_are_unbalanced_are_refused(text: bytes) -> None:
    assert refusal(lambda: brackets.parse(text)).slug == "invalid-encoded-params"


@pytest.mark.parametrize("text", [b"a[][]=1", b"a[][b][][]=1"])
def test_brackets_of_a_list_inside_a_list_are_refused(text: bytes) -> None:
    assert refusal(lambda: brackets.parse(text)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    "text", [b"a=%FF", b"%FF=1", b"a=\xff", b"a[%C3]=1", b"a=%ED%A0%80", b"a=%C0%80"]
)
def test_brackets_in_invalid_utf8_are_refused(text: bytes) -> None:
    assert refusal(lambda: brackets.parse(text)).slug == "invalid-encoded-params"


def test_form_with_too_many_pairs_is_refused() -> None:
    pairs = [b"a%d=1" % number for number in range(1001)]
    assert len(brackets.parse(b"&".join(pairs[:1000]))) == 1000
    assert refusal(lambda: brackets.parse(b"&".join(pairs))).slug == "invalid-encoded-params"


def test_form_pairs_of_one_key_count_each() -> None:
    assert len(brackets.parse(b"&".join([b"a[]=1"] * 1000))["a"]) == 1000
    text = b"&".join([b"a[]=1"] * 1001)
    assert refusal(lambda: brackets.parse(text)).slug == "invalid-encoded-params"


@pytest.mark.parametrize(
    "deepest",
    [
        pytest.param(b"a" + b"[b]" * 31, id="objects"),
        pytest.param(b"a" + b"[][b]" * 15 + b"[b]", id="objects-in-lists"),
        pytest.param(b"a" + b"[b]" * 30 + b"[]", id="a-list-at-the-end"),
    ],
)
def test_brackets_of_32_levels_are_accepted_and_33_are_refused(deepest: bytes) -> None:
    assert _levels(brackets.parse(deepest + b"=1")) == 32
    too_deep = deepest.replace(b"a", b"a[a]", 1) + b"=1"
    assert refusal(lambda: brackets.parse(too_deep)).slug == "invalid-encoded-params"


def _levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()))
    if isinstance(value, list):
        return 1 + max(map(_levels, value))
    return 0


@pytest.mark.parametrize("text", [b"secret=1&secret[x]=2", b"a=secret&a[b]=secret", b"secret[=1"])
def test_brackets_refusal_never_quotes_the_text(text: bytes) -> None:
    assert "secret" not in str(refusal(lambda: brackets.parse(text)).message)


_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1)
_scalars = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.recursive(
    st.one_of(_scalars, st.lists(_scalars, min_size=1, max_size=4)),
    lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=4),
    max_leaves=12,
)


def _pairs(key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for name in value for pair in _pairs(f"{key}[{name}]", value[name])]
    if isinstance(value, list):
        return [(f"{key}[]", item) for item in value]
    return [(key, value)]


@examples
@given(st.dictionaries(_names, _values, max_size=4), st.sampled_from([quote, quote_plus]))
def test_brackets_round_trip(values: dict[str, Any], escape: Any) -> None:
    pairs = [pair for name in values for pair in _pairs(name, values[name])]
    text = "&".join(f"{escape(key)}={escape(value)}" for key, value in pairs)
    assert brackets.parse(text.encode()) == values


@examples
@given(st.lists(st.sampled_from(["%", "=", "\r", "\n", "+", "0", "aF", "C3%A9", "\\", "_", " ."])))
def test_brackets_percent_escapes_are_those_of_urls(parts: list[str]) -> None:
    text = "".join(parts).encode()
    try:
        value = unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        assert refusal(lambda: brackets.parse(b"a=" + text)).slug == "invalid-encoded-params"
    else:
        assert brackets.parse(b"a=" + text) == {"a": value}
