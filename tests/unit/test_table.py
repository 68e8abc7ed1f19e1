"""The table of routes, compared with a naive implementation of the documented rule."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, route

from gateway.registry.records import Route, Service
from gateway.registry.table import ClashError, Table

UUID = "0b8f1c9e-3f5a-4c1d-9a6b-2f7e8d9c0a1b"
KINDS = {
    "int": r"-?(0|[1-9][0-9]{0,18})",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}


def decoded(path: bytes) -> list[str]:
    """A raw path split at / and then percent-decoded once; empty if it cannot match."""
    before, *raw = path.split(b"/")
    escape = re.compile(rb"%([0-9a-fA-F]{2})")
    segments = [escape.sub(lambda hit: bytes([int(hit[1], 16)]), segment) for segment in raw]
    try:
        texts = [segment.decode("utf-8") for segment in segments]
    except UnicodeDecodeError:
        return []
    is_invalid = any(text in {"", ".", ".."} or "\0" in text for text in texts)
    return [] if before or len(texts) > 32 or is_invalid else texts


def name_and_kind(segment: str) -> tuple[str, str]:
    name, _, kind = segment.strip("{}").partition(":")
    return name, kind


def fits(segment: str, text: str) -> bool:
    if not segment.startswith("{"):
        return segment == text
    _, kind = name_and_kind(segment)
    return not kind or bool(re.fullmatch(KINDS[kind], text, re.ASCII))


def specificity(segment: str) -> int:
    """The rank of a segment: literal, typed, plain."""
    if not segment.startswith("{"):
        return 0
    return 1 if ":" in segment else 2


def value(segment: str, text: str) -> object:
    _, kind = name_and_kind(segment)
    return int(text) if kind == "int" else text.lower() if kind == "uuid" else text


def naive(routes: Sequence[Route], method: str, path: bytes) -> tuple[str, dict[str, Any]] | None:
    """Of the routes that match method and path, the one that is most specific from the left."""
    texts = decoded(path)
    fitting = [
        (candidate, segments)
        for candidate in routes
        if candidate.method == method
        and len(segments := candidate.path[1:].split("/")) == len(texts)
        and all(map(fits, segments, texts))
    ]
    if not fitting:
        return None
    best, segments = min(fitting, key=lambda pair: [specificity(segment) for segment in pair[1]])
    pairs = zip(segments, texts, strict=True)
    values = {name_and_kind(s)[0]: value(s, text) for s, text in pairs if s.startswith("{")}
    return best.path, values


def shape(checked: Route) -> tuple[str, ...]:
    segments = checked.path.split("/")
    return (checked.method, *(re.sub(r"\{\w+", "{", segment) for segment in segments))


def outcome(table: Table, method: str, path: bytes) -> tuple[str, Mapping[str, Any]] | None:
    match = table.find(method, path)
    return match and (match.route.path, match.path_params)


def routes_of(*patterns: str, method: str = "GET") -> list[Route]:
    return [route(path, name=f"{method} {path}", method=method) for path in patterns]


_PLAIN = (b"a", b"b", b"1", b"-7", UUID.encode(), b"c")
_ODD = (
    *(b"%61", b"%31", b"%2D7", b"a%2Fb", b"%2561", b"%zz", b"01", b"+1", b"1" * 20, b"-0"),
    *(b"%D9%A3", b"za%C5%BC", UUID.upper().encode(), b"%41"),
    *(b"", b".", b"..", b"%2E", b"%2e%2e", b"%00", b"%FF", b"\xff"),
)
_ALL_SHORT = [b"/" + b"/".join(texts) for n in (1, 2, 3) for texts in product(_PLAIN, repeat=n)]


def _pattern(segments: Sequence[str], names: str) -> str:
    return "/" + "/".join(s.replace("*", f"{names}{i}") for i, s in enumerate(segments))


# Few segments and few texts, so that routes overlap and a path matches several of them.
_segments = st.sampled_from(["a", "b", "1", "{*:int}", "{*:uuid}", "{*}"])
_patterns = st.builds(
    _pattern, st.lists(_segments, min_size=1, max_size=3), st.sampled_from(["p", "q"])
)
_routes = st.builds(
    lambda path, method: route(path, name=f"{method} {path}", method=method),
    _patterns,
    st.sampled_from(["GET", "GET", "GET", "POST"]),
)
_odd_paths = st.builds(
    lambda texts, end: b"/" + b"/".join(texts) + end,
    st.lists(st.sampled_from([*_PLAIN, *_ODD]), min_size=1, max_size=3),
    st.sampled_from([b"", b"", b"", b"/"]),
)


@examples
@given(
    st.lists(_routes, min_size=3, max_size=14, unique_by=shape),
    st.lists(_odd_paths, min_size=5, max_size=20),
)
def test_table_finds_what_the_documented_rule_finds(
    routes: list[Route], odd_paths: list[bytes]
) -> None:
    table = Table(1, [], routes)
    for path in [*_ALL_SHORT, *odd_paths]:
        assert outcome(table, "GET", path) == naive(routes, "GET", path), path


@examples
@given(st.lists(_routes, min_size=2, max_size=8, unique_by=lambda drawn: drawn.name))
def test_table_refuses_only_routes_with_equal_method_and_shape(routes: list[Route]) -> None:
    if len(set(map(shape, routes))) < len(routes):
        with pytest.raises(ClashError, match="clash: they match the same requests"):
            Table(1, [], routes)
    else:
        assert len(Table(1, [], routes).routes) == len(routes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/a/{x}", "/a/{y}"),
        ("/{x:int}/b", "/{y:int}/b"),
        ("/{x:uuid}/{y}", "/{y:uuid}/{x}"),
    ],
)
def test_table_routes_that_differ_in_param_names_clash(one: str, other: str) -> None:
    with pytest.raises(ClashError, match=r"first\.read and second\.read|second\.read and first"):
        Table(1, [], [route(one, name="first.read"), route(other, name="second.read")])


@pytest.mark.parametrize(
    ("path", "pattern", "values"),
    [
        (b"/s/count", "/s/count", {}),
        (b"/s/7", "/s/{id:int}", {"id": 7}),
        (b"/s/" + UUID.encode(), "/s/{key:uuid}", {"key": UUID}),
        (b"/s/other", "/s/{name}", {"name": "other"}),
        (b"/s/07", "/s/{name}", {"name": "07"}),
        (b"/s/c%6Funt", "/s/count", {}),
        (b"/s/count%2F", "/s/{name}", {"name": "count/"}),
        (b"/s/7/y", "/s/{id:int}/{rest}", {"id": 7, "rest": "y"}),
        (b"/s/x/y", "/{kind}/x/{rest}", {"kind": "s", "rest": "y"}),
        (b"/t/7/y", "/{kind}/7/{rest}", {"kind": "t", "rest": "y"}),
        (b"/t/8/x", "/{kind}/{id:int}/x", {"kind": "t", "id": 8}),
    ],
)
def test_table_leftmost_difference_decides(
    path: bytes, pattern: str, values: dict[str, Any]
) -> None:
    routes = routes_of(
        *("/s/{name}", "/s/{key:uuid}", "/s/{id:int}", "/s/count", "/s/{id:int}/{rest}"),
        *("/{kind}/{id:int}/x", "/{kind}/7/{rest}", "/{kind}/x/{rest}"),
    )
    assert outcome(Table(1, [], routes), "GET", path) == (pattern, values)


def test_table_dead_end_leaves_no_param_value() -> None:
    table = Table(1, [], routes_of("/{a:int}/{b:int}/x", "/{c:int}/{d}/y", "/{e}/{f}/{g}/z"))
    assert outcome(table, "GET", b"/1/2/y") == ("/{c:int}/{d}/y", {"c": 1, "d": "2"})
    expected = ("/{e}/{f}/{g}/z", {"e": "1", "f": "2", "g": "y"})
    assert outcome(table, "GET", b"/1/2/y/z") == expected


@pytest.mark.parametrize("path", [b"/a/", b"//a", b"/A", b"/a/b", b"/", b"", b"/a%2F", b"/%2561"])
def test_table_paths_are_neither_normalised_nor_redirected(path: bytes) -> None:
    assert Table(1, [], routes_of("/a")).find("GET", path) is None


def test_table_path_may_have_32_segments_but_not_33() -> None:
    table = Table(1, [], routes_of("/a" * 31 + "/{last}"))
    assert outcome(table, "GET", b"/a" * 31 + b"/x") == ("/a" * 31 + "/{last}", {"last": "x"})
    assert table.find("GET", b"/a" * 31 + b"/x/y") is None


def test_table_matches_per_method() -> None:
    table = Table(1, [], [*routes_of("/a", "/{x}"), *routes_of("/{x}", method="PUT")])
    assert table.methods(b"/a") == ["GET", "PUT"]
    assert table.methods(b"/a/b") == []
    assert outcome(table, "PUT", b"/a") == ("/{x}", {"x": "a"})
    assert table.find("PATCH", b"/a") is None


def test_table_has_its_revision_and_records_by_name() -> None:
    service = Service("things", "python", deployed=True, title="Things")
    create = route()
    table = Table(7, [service], [create])
    assert (table.revision, dict(table.services), dict(table.routes)) == (
        7,
        {"things": service},
        {"things.create": create},
    )


ENVELOPES = st.dictionaries(
    st.sampled_from([f"s.r{n}" for n in range(6)]),
    st.tuples(st.sampled_from(["a", "b", "{x}"]), st.sampled_from(["plano", "shoplo"])),
    max_size=6,
)


def with_envelope(name: str, segment: str, envelope: str) -> Route:
    return route(f"/{segment}/{name}", name=name, envelope=envelope)


def shared_envelope(routes: Mapping[str, Route | None], segment: str) -> str:
    below = [route for route in routes.values() if route and f"/{segment}/" in route.path]
    envelopes = {route.envelope for route in below}
    return envelopes.pop() if len(envelopes) == 1 else "plano"


@examples
@given(ENVELOPES, st.lists(ENVELOPES, max_size=4))
def test_table_envelope_of_an_unknown_path_is_shared_by_the_routes_near_it(
    first: dict[str, tuple[str, str]], changes: list[dict[str, tuple[str, str]]]
) -> None:
    routes = {name: with_envelope(name, *fields) for name, fields in first.items()}
    table = Table(1, [], routes.values())
    for revision, change in enumerate([{}, *changes], 2):
        # A route that is not in a change is deleted, so that each change has all three kinds.
        after = {name: with_envelope(name, *fields) for name, fields in change.items()}
        edit: dict[str, Route | None] = {**dict.fromkeys(routes), **after} if change else {}
        table = table.with_changes(revision, {}, edit)
        routes = after if change else routes
        for path in ("/a", "/a/", "/a/x/y", "/%61//"):
            assert table.envelopes.find(path.encode()) == shared_envelope(routes, "a")
        assert table.envelopes.find(b"/b/x") == shared_envelope(routes, "b")
        assert table.envelopes.find(b"/c/\xff") == "plano"
