"""Immutable tables and mappings: after changes they equal a newly built one."""

from collections.abc import Mapping
from itertools import product
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples, route

from gateway.registry import overlay_map
from gateway.registry.overlay_map import OverlayMap
from gateway.registry.records import Route, Service
from gateway.registry.table import ClashError, Match, Table

UUID = "0b8f1c9e-3f5a-4c1d-9a6b-2f7e8d9c0a1b"

# A mapping

_changes = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(1, 9), max_size=4)


@examples
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)), st.lists(_changes))
def test_overlay_map_after_changes_equals_a_dictionary(
    base: dict[str, int], steps: list[dict[str, int | None]]
) -> None:
    expected, mapping = dict(base), OverlayMap(base)
    seen: list[tuple[dict[str, int], OverlayMap[str, int]]] = []
    with patch.object(overlay_map, "MAX_OVERLAY", 3):
        for step in steps:
            seen.append((expected, mapping))
            expected = {key: v for key, v in {**expected, **step}.items() if v is not None}
            mapping = mapping.with_changes(step)
            assert_equal(mapping, expected)
    for old_expected, old in seen:
        assert_equal(old, old_expected)


def assert_equal(mapping: OverlayMap[str, int], expected: dict[str, int]) -> None:
    assert dict(mapping) == expected
    assert sorted(mapping) == sorted(expected)
    assert len(mapping) == len(expected)
    for key in "abcdef":
        assert mapping.find(key) == mapping.get(key) == expected.get(key)
        assert (key in mapping) is (key in expected)


def test_overlay_map_missing_key_raises_key_error() -> None:
    mapping = OverlayMap({"a": 1}).with_changes({"a": None})
    for key in "ab":
        with pytest.raises(KeyError):
            mapping[key]


def test_overlay_map_many_changes_are_merged_into_the_base() -> None:
    mapping: OverlayMap[int, int] = OverlayMap({})
    for number in range(overlay_map.MAX_OVERLAY):
        mapping = mapping.with_changes({number: number})
    assert len(mapping._top) == overlay_map.MAX_OVERLAY
    mapping = mapping.with_changes({-1: -1})
    assert (len(mapping), len(mapping._top)) == (overlay_map.MAX_OVERLAY + 1, 0)


# A table

_TEXTS = ("a", "b", "1", UUID)
_PATHS = [
    ("/" + "/".join(texts)).encode()
    for length in (1, 2, 3)
    for texts in product(_TEXTS, repeat=length)
]
_METHODS = ("GET", "POST")
_NAMES = [f"things.{letter}" for letter in "abcdefgh"]

_segments = st.sampled_from(["a", "b", "1", "{*:int}", "{*:uuid}", "{*}"])
_patterns = st.lists(_segments, min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(part.replace("*", f"p{i}") for i, part in enumerate(parts))
)
_route_steps = st.dictionaries(
    st.sampled_from(_NAMES),
    st.none() | st.tuples(st.sampled_from(["GET", "GET", "POST"]), _patterns),
    max_size=4,
)
_service_steps = st.dictionaries(st.sampled_from("xyz"), st.none() | st.booleans(), max_size=2)


def maybe_route(name: str, method_and_path: tuple[str, str] | None) -> Route | None:
    if method_and_path is None:
        return None
    method, path = method_and_path
    return route(path, name=name, method=method)


def maybe_service(name: str, deployed: bool | None) -> Service | None:  # noqa: FBT001
    return None if deployed is None else Service(name, "python", deployed, "T")


def shape(checked: Route) -> tuple[Any, ...]:
    return (checked.method, *(segment.shape for segment in checked.segments))


def after_step(state: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**state, **step}.items() if value is not None}


def answers_of(table: Table) -> list[Any]:
    """The answers of a table for each method and path of this test."""
    answers: list[Any] = [
        (match.route.name, match.path_params) if (match := table.find(method, path)) else None
        for method in _METHODS
        for path in _PATHS
    ]
    return [*answers, *(sorted(table.methods(path)) for path in _PATHS)]


def assert_like_new(table: Table, services: dict[str, Service], routes: dict[str, Route]) -> None:
    new = Table(table.revision, services.values(), routes.values())
    assert answers_of(table) == answers_of(new)
    assert dict(table.routes) == routes
    assert dict(table.services) == services


@examples
@given(st.lists(st.tuples(_service_steps, _route_steps), min_size=1, max_size=12))
def test_table_after_changes_finds_what_a_new_table_finds(
    steps: list[tuple[dict[str, bool | None], dict[str, tuple[str, str] | None]]],
) -> None:
    table, services, routes = Table(0), dict[str, Service](), dict[str, Route]()
    seen = [(table, services, routes)]
    with patch.object(overlay_map, "MAX_OVERLAY", 5):
        for revision, (of_services, of_routes) in enumerate(steps, 1):
            new_services = {name: maybe_service(name, value) for name, value in of_services.items()}
            new_routes = {name: maybe_route(name, value) for name, value in of_routes.items()}
            after = after_step(routes, new_routes)
            if len({shape(changed) for changed in after.values()}) < len(after):
                with pytest.raises(ClashError, match="clash: they match the same requests"):
                    table.with_changes(revision, new_services, new_routes)
                continue
            table = table.with_changes(revision, new_services, new_routes)
            services, routes = after_step(services, new_services), after
            assert table.revision == revision
            seen.append((table, services, routes))
            assert_like_new(table, services, routes)
    for old in seen:
        assert_like_new(*old)


def thing(path: str, name: str = "things.a", **changes: Any) -> Route:
    return route(path, name=name, method="GET", **changes)


@pytest.mark.parametrize("path", ["/a", "/{p}", "/{p:int}", "/a/{p}/b", "/{p}/{q:uuid}"])
def test_table_without_its_last_route_has_an_empty_trie(path: str) -> None:
    empty = Table(1, [], [thing(path)]).with_changes(2, {}, {"things.a": None})
    root = empty.root("GET")
    assert root is not None
    assert root.is_empty
    assert len(empty.routes) == 0
    again = empty.with_changes(3, {}, {"things.a": thing(path)})
    assert [*again.routes] == ["things.a"]


def test_table_two_routes_can_swap_their_paths() -> None:
    table = Table(1, [], [thing("/x/{p:int}"), thing("/y", "things.b")])
    swapped = {"things.a": thing("/y"), "things.b": thing("/x/{q:int}", "things.b")}
    after = table.with_changes(2, {}, swapped)
    for path, before, now in ((b"/x/7", "things.a", "things.b"), (b"/y", "things.b", "things.a")):
        old, new = table.find("GET", path), after.find("GET", path)
        assert old is not None
        assert new is not None
        assert (old[0].name, new[0].name) == (before, now)
    assert after.find("GET", b"/x/7") == Match(swapped["things.b"], {"q": 7}, after)


def test_table_route_can_move_to_another_method() -> None:
    table = Table(1, [], [thing("/x")])
    moved = table.with_changes(2, {}, {"things.a": route("/x", name="things.a", method="PUT")})
    assert moved.methods(b"/x") == ["PUT"]
    assert table.methods(b"/x") == ["GET"]


def test_table_deletion_of_a_missing_record_changes_nothing() -> None:
    table = Table(1, [], [thing("/x")])
    after = table.with_changes(2, {"none": None}, {"things.none": None})
    assert answers_of(after) == answers_of(table)
    assert dict(after.routes) == dict(table.routes)


def test_table_change_shares_unchanged_nodes() -> None:
    table = Table(1, [], [thing("/x/a"), thing("/y/a", "things.b")])
    after = table.with_changes(2, {}, {"things.a": thing("/x/b")})
    before_root, root = table.root("GET"), after.root("GET")
    assert before_root is not None
    assert root is not None
    assert root.literals["y"] is before_root.literals["y"]
    assert root.literals["x"] is not before_root.literals["x"]


def test_table_clash_names_both_routes_and_leaves_the_table_unchanged() -> None:
    table = Table(1, [], [thing("/x/{p}")])
    before = answers_of(table)
    with pytest.raises(ClashError, match=r"things\.b and things\.a"):
        table.with_changes(2, {}, {"things.b": thing("/x/{q}", "things.b")})
    assert answers_of(table) == before
