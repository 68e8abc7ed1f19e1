"""Match and resolve: from method and path to the action."""

from typing import Any

import pytest
from support.builders import http_services, match, refusal, request, route

from gateway.registry.records import Service
from gateway.registry.table import Match, Table
from gateway.stages import match as stage
from gateway.stages.resolve import resolve
from gateway.upstreams.action import Function
from gateway.upstreams.bound import BoundActions
from gateway.upstreams.call import Call
from gateway.upstreams.python import PythonAction
from gateway.values import Reply

SERVICE = Service("things", "python", deployed=True, title="Things")
READ = route("/services/things/{id:int}", name="things.read", method="GET")


async def create(_: Call) -> Reply:
    return Reply()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_match_treats_head_as_get(method: str) -> None:
    incoming = request()._replace(method=method, path=b"/services/things/7")
    table = Table(1, [], [READ])
    assert stage.match(incoming, table) == Match(READ, {"id": 7}, table)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", b"/services/things/7"),
        ("get", b"/services/things/7"),
        ("OPTIONS", b"/services/things/7"),
        ("TRACE", b"/services/things/7"),
        ("GET", b"/services/things/seven"),
        ("GET", b"/services/things/7/"),
        ("GET", b"/"),
    ],
)
def test_match_unknown_path_or_method_is_refused(method: str, path: bytes) -> None:
    incoming = request()._replace(method=method, path=path)
    rejection = refusal(lambda: stage.match(incoming, Table(1, [], [READ])))
    assert rejection.slug == "route-non-existent"


def test_match_head_of_a_post_route_is_refused() -> None:
    incoming = request()._replace(method="HEAD", path=b"/api/v1/things/create")
    rejection = refusal(lambda: stage.match(incoming, Table(1, [], [route()])))
    assert rejection.slug == "route-non-existent"


@pytest.mark.parametrize(
    ("changes", "services", "functions", "expected"),
    [
        ({}, [SERVICE], {"things.create": create}, create),
        ({"name": "shop.add"}, [SERVICE], {"things.create": create}, create),
        ({"deployed": False}, [SERVICE], {"things.create": create}, "route-not-found"),
        ({"deployed": False}, [], {}, "route-not-found"),
        ({}, [], {"things.create": create}, "service-not-found"),
        (
            {},
            [Service("things", "python", deployed=False, title="Things")],
            {"things.create": create},
            "service-not-found",
        ),
        ({}, [SERVICE], {}, "service-not-found"),
        ({}, [SERVICE], {"things.read": create}, "service-not-found"),
        ({"action": "read"}, [SERVICE], {"things.create": create}, "service-not-found"),
    ],
)
def test_resolve_requires_route_then_service_then_code(
    changes: dict[str, Any],
    services: list[Service],
    functions: dict[str, Function],
    expected: object,
) -> None:
    made = route(**changes)
    found = match(made)._replace(table=Table(1, services, [made]))
    python = {name: PythonAction(function) for name, function in functions.items()}
    actions = BoundActions(python, http_services())
    if isinstance(expected, str):
        refused = refusal(lambda: resolve(found, actions))
        assert refused.slug == expected
    else:
        assert resolve(found, actions) is python["things.create"]
