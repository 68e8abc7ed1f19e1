"""Path patterns and request paths."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples

from gateway.registry import paths
from gateway.registry.paths import PathError, Segment

UUID = "0b8f1c9e-3f5a-4c1d-9a6b-2f7e8d9c0a1b"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("7", 7),
        ("-7", -7),
        ("-0", 0),
        ("1234567890123456789", 1234567890123456789),
        ("-9999999999999999999", -9999999999999999999),
    ],
)
def test_paths_int_segment_accepts_ascii_digits(text: str, value: int) -> None:
    assert paths.KINDS["int"](text) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("-", id="sign-alone"),
        pytest.param("+1", id="plus"),
        pytest.param("01", id="leading-zero"),
        pytest.param("-01", id="leading-zero-after-sign"),
        pytest.param("00", id="two-zeros"),
        pytest.param("--1", id="two-signs"),
        pytest.param("1" * 20, id="20-digits"),
        pytest.param("1_000", id="underscore"),
        pytest.param("1.0", id="fraction"),
        pytest.param("1e3", id="exponent"),
        pytest.param("0x1", id="hexadecimal"),
        pytest.param(" 1", id="space-before"),
        pytest.param("1 ", id="space-after"),
        pytest.param("1\n", id="newline-after"),
        pytest.param("٣", id="arabic-indic-digit"),
        pytest.param("\N{FULLWIDTH DIGIT ONE}", id="full-width-digit"),
        pytest.param("²", id="superscript"),
        pytest.param("\N{MINUS SIGN}1", id="unicode-minus"),
    ],
)
def test_paths_int_segment_refuses_everything_else(text: str) -> None:
    assert paths.KINDS["int"](text) is None


@examples
@given(st.text("-+0123456789٣ _", max_size=22))
def test_paths_int_segment_accepts_what_the_documented_expression_matches(text: str) -> None:
    fits = re.fullmatch("-?(0|[1-9][0-9]{0,18})", text, re.ASCII)
    assert paths.KINDS["int"](text) == (int(text) if fits else None)


@examples
@given(st.uuids())
def test_paths_uuid_segment_accepts_every_uuid(value: uuid.UUID) -> None:
    assert paths.KINDS["uuid"](str(value)) == str(value)


def test_paths_uuid_segment_is_lower_cased() -> None:
    assert paths.KINDS["uuid"](UUID.upper()) == UUID


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(UUID[:-1], id="too-short"),
        pytest.param(UUID + "0", id="too-long"),
        pytest.param(UUID.replace("-", ""), id="no-dashes"),
        pytest.param(f"{{{UUID}}}", id="braces"),
        pytest.param(f"urn:uuid:{UUID}", id="urn"),
        pytest.param("g" + UUID[1:], id="not-hexadecimal"),
        pytest.param("٣" + UUID[1:], id="arabic-indic-digit"),
        pytest.param(UUID + "\n", id="newline-after"),
    ],
)
def test_paths_uuid_segment_refuses_everything_else(text: str) -> None:
    assert paths.KINDS["uuid"](text) is None


def test_parse_reads_a_pattern_segment_by_segment() -> None:
    assert paths.parse("/services/a.b_c~d-E/{id:int}/{key:uuid}/{name}") == (
        Segment(literal="services"),
        Segment(literal="a.b_c~d-E"),
        Segment(name="id", kind="int"),
        Segment(name="key", kind="uuid"),
        Segment(name="name"),
    )


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "must start with /"),
        ("api/v1", "must start with /"),
        ("/", "are not allowed"),
        ("/a/", "are not allowed"),
        ("/a//b", "are not allowed"),
        ("/a/.", "are not allowed"),
        ("/a/../b", "are not allowed"),
        ("/a b", "is not a valid literal; allowed: letters"),
        ("/a%20b", "is not a valid literal; allowed: letters"),
        ("/zażółć", "is not a valid literal; allowed: letters"),
        ("/a\n", "is not a valid literal; allowed: letters"),
        ("/{}", "is not a valid segment; allowed: {name}, "),
        ("/{id", "is not a valid segment; allowed: {name}, "),
        ("/id}", "is not a valid segment; allowed: {name}, "),
        ("/x{id}", "is not a valid segment; allowed: {name}, "),
        ("/{Id}", "is not a valid segment; allowed: {name}, "),
        ("/{id:}", "is not a valid segment; allowed: {name}, "),
        ("/{id:float}", "has an unknown type; allowed: int, uuid"),
        ("/{id}/{id:int}", "same name"),
        pytest.param("/a" * 33, "at most 32 segments", id="33-segments"),
    ],
)
def test_parse_refuses_an_invalid_pattern_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(PathError, match=re.escape(why)):
        paths.parse(pattern)


def test_parse_pattern_may_have_32_segments() -> None:
    assert len(paths.parse("/a" * 32)) == 32


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/a", ["a"]),
        (b"/a/b", ["a", "b"]),
        (b"/%61", ["a"]),
        (b"/a%2Fb", ["a/b"]),
        (b"/a%2fb/c", ["a/b", "c"]),
        (b"/%2561", ["%61"]),
        (b"/a+b", ["a+b"]),
        (b"/%zz", ["%zz"]),
        (b"/100%", ["100%"]),
        (b"/za%C5%BC", ["zaż"]),
        (b"/za\xc5\xbc", ["zaż"]),
        (b"/...", ["..."]),
        (b"/.a", [".a"]),
        (b"/%20", [" "]),
        pytest.param(b"/a" * 32, ["a"] * 32, id="32-segments"),
    ],
)
def test_split_splits_a_path_and_then_decodes_once(path: bytes, segments: list[str]) -> None:
    assert paths.split(path) == segments


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"a/b", id="no-slash-before"),
        pytest.param(b"http://host/a", id="absolute-form"),
        pytest.param(b"/", id="root"),
        pytest.param(b"//", id="two-slashes"),
        pytest.param(b"/a/", id="slash-after"),
        pytest.param(b"//a", id="empty-first"),
        pytest.param(b"/a//b", id="empty-between"),
        pytest.param(b"/.", id="dot"),
        pytest.param(b"/a/../b", id="dot-dot"),
        pytest.param(b"/%2E", id="dot-encoded"),
        pytest.param(b"/.%2e/a", id="dot-dot-half-encoded"),
        pytest.param(b"/a%00", id="nul-encoded"),
        pytest.param(b"/a\0", id="nul"),
        pytest.param(b"/%FF", id="not-utf8-encoded"),
        pytest.param(b"/\xff", id="not-utf8"),
        pytest.param(b"/%C0%AF", id="overlong"),
        pytest.param(b"/%ED%A0%80", id="surrogate"),
        pytest.param(b"/a" * 33, id="33-segments"),
        pytest.param(b"/a" * 32 + b"/", id="32-segments-and-a-slash"),
    ],
)
def test_split_ambiguous_or_invalid_path_matches_nothing(path: bytes) -> None:
    assert paths.split(path) is None


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/-", True),
        ("/-/live", True),
        ("/documentation", True),
        ("/documentation/api/v1/things/create", True),
        ("/openapi.json", True),
        ("/openapi/order_stages.json", True),
        ("/-a", False),
        ("/documentations", False),
        ("/openapi.jsonl", False),
        ("/api/-/live", False),
    ],
)
def test_is_reserved_covers_only_the_gateways_own_paths(path: str, *, reserved: bool) -> None:
    assert paths.is_reserved(path) is reserved
