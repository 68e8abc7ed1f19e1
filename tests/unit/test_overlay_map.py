"""Tables and mappings that a change copies: they find what one made from the start finds."""

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
from gateway.registry.table import ClashError, Table

UUID = "0b8f1c9e-3f5a-4c1d-9a6b-2f7e8d9c0a1b"

# A mapping

_changes = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(1, 9), max_size=4)


@examples
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)), st.lists(_changes))
def test_a_changed_mapping_is_what_a_dictionary_would_be(
    base: dict[str, int], steps: list[dict[str, int | None]]
) -> None:
    expected, found = dict(base), OverlayMap(base)
    seen: list[tuple[dict[str, int], OverlayMap[str, int]]] = []
    with patch.object(overlay_map, "MAX_OVERLAY", 3):
        for step in steps:
            seen.append((expected, found))
            expected = {key: v for key, v in {**expected, **step}.items() if v is not None}
            found = found.with_changes(step)
            holds(found, expected)
    for old, there in seen:
        holds(there, old)


def holds(found: OverlayMap[str, int], expected: dict[str, int]) -> None:
    assert dict(found) == expected
    assert sorted(found) == sorted(expected)
    assert len(found) == len(expected)
    for key in "abcdef":
        assert found.find(key) == found.get(key) == expected.get(key)
        assert (key in found) is (key in expected)


def test_a_key_that_is_not_there_is_a_key_error() -> None:
    found = OverlayMap({"a": 1}).with_changes({"a": None})
    for key in "ab":
        with pytest.raises(KeyError):
            found[key]


def test_many_changes_become_a_part_of_the_bulk() -> None:
    found: OverlayMap[int, int] = OverlayMap({})
    for number in range(overlay_map.MAX_OVERLAY):
        found = found.with_changes({number: number})
    assert len(found._top) == overlay_map.MAX_OVERLAY
    found = found.with_changes({-1: -1})
    assert (len(found), len(found._top)) == (overlay_map.MAX_OVERLAY + 1, 0)


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
    lambda found: "/" + "/".join(s.replace("*", f"p{place}") for place, s in enumerate(found))
)
_route_steps = st.dictionaries(
    st.sampled_from(_NAMES),
    st.none() | st.tuples(st.sampled_from(["GET", "GET", "POST"]), _patterns),
    max_size=4,
)
_service_steps = st.dictionaries(st.sampled_from("xyz"), st.none() | st.booleans(), max_size=2)


def made(name: str, given: tuple[str, str] | None) -> Route | None:
    return given and route(given[1], name=name, method=given[0])


def service(name: str, deployed: bool | None) -> Service | None:  # noqa: FBT001
    return None if deployed is None else Service(name, "python", deployed, "T")


def shape(found: Route) -> tuple[Any, ...]:
    return (found.method, *(segment.shape for segment in found.segments))


def kept(now: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**now, **step}.items() if value is not None}


def finds(table: Table) -> list[Any]:
    """All that a table answers about the paths here."""
    answers: list[Any] = [
        (found[0].name, found[1]) if (found := table.find(method, path)) else None
        for method in _METHODS
        for path in _PATHS
    ]
    return [*answers, *(sorted(table.methods(path)) for path in _PATHS)]


def agrees(table: Table, services: dict[str, Service], routes: dict[str, Route]) -> None:
    fresh = Table(table.revision, services.values(), routes.values())
    assert finds(table) == finds(fresh)
    assert dict(table.routes) == routes
    assert dict(table.services) == services


@examples
@given(st.lists(st.tuples(_service_steps, _route_steps), min_size=1, max_size=12))
def test_a_table_made_by_changes_finds_what_one_made_from_the_start_finds(
    steps: list[tuple[dict[str, bool | None], dict[str, tuple[str, str] | None]]],
) -> None:
    table, services, routes = Table(0), dict[str, Service](), dict[str, Route]()
    seen = [(table, services, routes)]
    with patch.object(overlay_map, "MAX_OVERLAY", 5):
        for revision, (of_services, of_routes) in enumerate(steps, 1):
            new_services = {name: service(name, given) for name, given in of_services.items()}
            new_routes = {name: made(name, given) for name, given in of_routes.items()}
            after = kept(routes, new_routes)
            if len({shape(found) for found in after.values()}) < len(after):
                with pytest.raises(ClashError, match="clash: they match the same requests"):
                    table.with_changes(revision, new_services, new_routes)
                continue
            table = table.with_changes(revision, new_services, new_routes)
            services, routes = kept(services, new_services), after
            assert table.revision == revision
            seen.append((table, services, routes))
            agrees(table, services, routes)
    for old in seen:
        agrees(*old)


def one(path: str, name: str = "things.a", **changes: Any) -> Route:
    return route(path, name=name, method="GET", **changes)


@pytest.mark.parametrize("path", ["/a", "/{p}", "/{p:int}", "/a/{p}/b", "/{p}/{q:uuid}"])
def test_a_table_without_its_last_route_holds_no_trace_of_it(path: str) -> None:
    empty = Table(1, [], [one(path)]).with_changes(2, {}, {"things.a": None})
    root = empty.root("GET")
    assert root is not None
    assert root.is_empty
    assert len(empty.routes) == 0
    again = empty.with_changes(3, {}, {"things.a": one(path)})
    assert [*again.routes] == ["things.a"]


def test_two_routes_can_trade_their_paths() -> None:
    table = Table(1, [], [one("/x/{p:int}"), one("/y", "things.b")])
    traded = {"things.a": one("/y"), "things.b": one("/x/{q:int}", "things.b")}
    after = table.with_changes(2, {}, traded)
    for path, before, now in ((b"/x/7", "things.a", "things.b"), (b"/y", "things.b", "things.a")):
        old, new = table.find("GET", path), after.find("GET", path)
        assert old is not None
        assert new is not None
        assert (old[0].name, new[0].name) == (before, now)
    assert after.find("GET", b"/x/7") == (traded["things.b"], {"q": 7})


def test_a_route_can_move_to_another_method() -> None:
    table = Table(1, [], [one("/x")])
    moved = table.with_changes(2, {}, {"things.a": route("/x", name="things.a", method="PUT")})
    assert moved.methods(b"/x") == ["PUT"]
    assert table.methods(b"/x") == ["GET"]


def test_a_deletion_of_what_is_not_there_changes_nothing() -> None:
    table = Table(1, [], [one("/x")])
    after = table.with_changes(2, {"none": None}, {"things.none": None})
    assert finds(after) == finds(table)
    assert dict(after.routes) == dict(table.routes)


def test_a_change_leaves_what_it_does_not_touch_the_same_object() -> None:
    table = Table(1, [], [one("/x/a"), one("/y/a", "things.b")])
    after = table.with_changes(2, {}, {"things.a": one("/x/b")})
    before_root, root = table.root("GET"), after.root("GET")
    assert before_root is not None
    assert root is not None
    assert root.literals["y"] is before_root.literals["y"]
    assert root.literals["x"] is not before_root.literals["x"]


def test_a_clash_names_both_routes_and_leaves_the_table_as_it_was() -> None:
    table = Table(1, [], [one("/x/{p}")])
    before = finds(table)
    with pytest.raises(ClashError, match=r"things\.b and things\.a"):
        table.with_changes(2, {}, {"things.b": one("/x/{q}", "things.b")})
    assert finds(table) == before
