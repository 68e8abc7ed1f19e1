"""Why a request would be matched, refused or not found."""

from typing import Any

import pytest
from support.builders import route

from gateway.registry.explain import explain
from gateway.registry.records import Route, Service
from gateway.registry.table import Table

UUID = "0b8f1c9e-3f5a-4c1d-9a6b-2f7e8d9c0a1b"


def thing(name: str, method: str, path: str, **changes: Any) -> Route:
    fields = {"auth": frozenset({"application"}), "action": name, **changes}
    return route(path, name=f"things.{name}", method=method, **fields)


TABLE = Table(
    1,
    [Service("things", "python", deployed=True, title="Things")],
    [
        thing("create", "POST", "/api/things", auth=frozenset({"session", "application"})),
        thing("read", "GET", "/api/things/{id:int}"),
        thing("named", "GET", "/api/things/{name}/parts"),
        thing("count", "GET", "/api/things/count", auth=frozenset()),
        thing("later", "PUT", "/api/things/later", deployed=False),
        thing("replace", "PUT", "/api/things/{key:uuid}", roles={"a": ("employee",)}, action="put"),
    ],
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (
            *("POST", "/api/things"),
            {
                "answer": "served",
                "route": "things.create",
                "pattern": "/api/things",
                "params": {},
                "handler": "things.create",
                "auth": ["application", "session"],
                "roles": "any",
            },
        ),
        ("GET", "/api/things/7", {"route": "things.read", "params": {"id": 7}}),
        ("HEAD", "/api/things/7", {"route": "things.read", "request": "HEAD /api/things/7"}),
        ("GET", "/api/things/count", {"route": "things.count", "auth": "public"}),
        ("GET", "/api/things/c%6Funt", {"route": "things.count"}),
        ("GET", "/api/things/żółw/parts", {"params": {"name": "żółw"}}),
        ("GET", "/api/things/a b/parts", {"params": {"name": "a b"}}),
        ("GET", "/api/things/a%2Fb/parts", {"params": {"name": "a/b"}}),
        ("GET", "/api/things/7/parts", {"route": "things.named", "params": {"name": "7"}}),
        (
            *("PUT", f"/api/things/{UUID.upper()}"),
            {
                "params": {"key": UUID},
                "handler": "things.put",
                "roles": {"a": ("employee",)},
            },
        ),
        ("PUT", "/api/things/later", {"answer": "route-not-found: the route is not deployed"}),
    ],
)
def test_explain_matched_request_has_route_and_params(
    method: str, path: str, expected: dict[str, Any]
) -> None:
    answer = explain(TABLE, method, path)
    assert answer["revision"] == 1
    assert {name: answer[name] for name in expected} == expected
    assert "why" not in answer


IMPOSSIBLE_PATH = (
    "no route can have this path: it does not start with /, or has an empty segment, . or .., "
    "a NUL, text that is not UTF-8, or more than 32 segments"
)


RESERVED = {
    "answer": "a path of the gateway's own",
    "why": "no route can have it: /-, /documentation, /openapi, /openapi.json and every path below "
    "belong to the gateway itself",
}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (
            *("GET", "/api/things"),
            {"why": "this path has only other methods", "methods": ["POST"]},
        ),
        (
            *("DELETE", "/api/things/count"),
            {"why": "this path has only other methods", "methods": ["GET"]},
        ),
        ("BREW", "/api/things", {"why": "no route can have the method BREW"}),
        ("OPTIONS", "/nothing", {"why": "no route can have the method OPTIONS"}),
        ("GET", "/api/things/", {"why": IMPOSSIBLE_PATH}),
        ("GET", "api/things", {"why": IMPOSSIBLE_PATH}),
        ("GET", "", {"why": IMPOSSIBLE_PATH}),
        ("GET", "/api/../api/things", {"why": IMPOSSIBLE_PATH}),
        ("GET", "/api/%00", {"why": IMPOSSIBLE_PATH}),
        ("GET", "/api/%FF", {"why": IMPOSSIBLE_PATH}),
        ("GET", "/a" * 33, {"why": IMPOSSIBLE_PATH}),
        ("GET", "/api/\udcff", {"why": IMPOSSIBLE_PATH}),
        ("GET", "/-/ready", RESERVED),
        ("POST", "/documentation/things", RESERVED),
        (
            *("GET", "/aip/things"),
            {"why": "no route matches the segments after /", "known": ["api"]},
        ),
        (
            *("GET", "/api/thing"),
            {"why": "no route matches the segments after /api", "known": ["things"]},
        ),
        (
            *("GET", "/api/things/7/part"),
            {"why": "no route matches the segments after /api/things/7", "known": ["parts"]},
        ),
        (
            *("GET", "/api/things/count/x"),
            {"why": "no route matches the segments after /api/things/count", "known": ["parts"]},
        ),
        (
            *("GET", "/api/things/7/parts/8"),
            {"why": "no route matches the segments after /api/things/7/parts", "known": []},
        ),
        ("GET", "/api", {"why": "no route ends at /api", "known": ["things"]}),
        ("GET", "/api/things/x", {"why": "no route ends at /api/things/x", "known": ["parts"]}),
    ],
)
def test_explain_unmatched_request_has_the_reason(
    method: str, path: str, expected: dict[str, Any]
) -> None:
    assert explain(TABLE, method, path) == {
        "revision": 1,
        "request": f"{method} {path}",
        "answer": "route-non-existent",
        **expected,
    }


def test_explain_says_how_old_the_data_of_a_replica_may_be() -> None:
    listed = Table(1, TABLE.services.values(), [thing("list", "GET", "/api/things", stale=5.0)])
    assert explain(listed, "GET", "/api/things")["reads"] == "a replica, at most 5 s old"
    assert "reads" not in explain(TABLE, "POST", "/api/things")


def test_explain_next_segments_come_from_all_methods() -> None:
    paths = [("GET", "/x/a/1"), ("PUT", "/x/b"), ("POST", "/x/{id:int}"), ("PATCH", "/x/{id}/y")]
    routes = [route(path, name=f"x.{method}", method=method) for method, path in paths]
    answer = explain(Table(1, [], routes), "GET", "/x")
    assert (answer["why"], answer["known"]) == ("no route ends at /x", ["a", "b", "{…:int}", "{…}"])
    answer = explain(Table(1, [], routes), "GET", "/x/7/z")
    assert (answer["why"], answer["known"]) == ("no route matches the segments after /x/7", ["y"])


def test_explain_lists_at_most_twenty_next_segments() -> None:
    routes = [route(f"/x/a{n}", name=f"x.a{n}") for n in range(30)]
    answer = explain(Table(1, [], routes), "GET", "/x/none")
    assert answer["known"] == sorted(f"a{n}" for n in range(30))[:20]


@pytest.mark.parametrize("deployed", [None, False])
def test_explain_missing_or_undeployed_service_is_named(deployed: Any) -> None:
    service = None if deployed is None else Service("things", "python", deployed, "T")
    answer = explain(TABLE.with_changes(2, {"things": service}, {}), "POST", "/api/things")
    assert answer["revision"] == 2
    assert answer["answer"] == "service-not-found: the service things is not deployed"
    assert answer["route"] == "things.create"


def test_explain_works_on_an_empty_registry() -> None:
    assert explain(Table(0), "GET", "/api") == {
        "revision": 0,
        "request": "GET /api",
        "answer": "route-non-existent",
        "why": "no route matches the segments after /",
        "known": [],
    }
