"""Match and resolve: from method and path to the code that does the work."""

from typing import Any

import pytest
from support.builders import match, refusal, request, route

from gateway.registry.records import Service
from gateway.registry.table import Match, Table
from gateway.stages import match as stage
from gateway.stages.resolve import resolve
from gateway.upstreams.action import Function
from gateway.upstreams.call import Call
from gateway.upstreams.python import PythonAction
from gateway.values import Reply

SERVICE = Service("things", "python", deployed=True, title="Things")
READ = route("/services/things/{id:int}", name="things.read", method="GET")


async def create(_: Call) -> Reply:
    return Reply()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_is_get(method: str) -> None:
    asked = request()._replace(method=method, path=b"/services/things/7")
    assert stage.match(asked, Table(1, [], [READ])) == Match(READ, {"id": 7})


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
def test_a_path_or_method_that_no_route_has_does_not_exist(method: str, path: bytes) -> None:
    asked = request()._replace(method=method, path=path)
    refused = refusal(lambda: stage.match(asked, Table(1, [], [READ])))
    assert refused.slug == "route-non-existent"


def test_head_is_no_other_method() -> None:
    asked = request()._replace(method="HEAD", path=b"/api/v1/things/create")
    assert refusal(lambda: stage.match(asked, Table(1, [], [route()]))).slug == "route-non-existent"


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
def test_route_then_service_then_code_must_be_there(
    changes: dict[str, Any],
    services: list[Service],
    functions: dict[str, Function],
    expected: object,
) -> None:
    made = route(**changes)
    table = Table(1, services, [made])
    actions = {name: PythonAction(function) for name, function in functions.items()}
    if isinstance(expected, str):
        refused = refusal(lambda: resolve(match(made), table, actions))
        assert refused.slug == expected
    else:
        assert resolve(match(made), table, actions) is actions["things.create"]
