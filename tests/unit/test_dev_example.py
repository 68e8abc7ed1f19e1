"""The `curl` that `gateway dev` prints."""

import base64
import shlex
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import ROOT

from gateway.dev import example
from gateway.manifest.check import Desired, check

URL = "http://gw"
HEAD = {
    "version": 1,
    "namespace": "test",
    "applications": {"shop": {"title": "Shop", "roles": ["employee"]}},
    "services": {
        "things": {"kind": "python", "deployed": True, "title": "T"},
        "later": {"kind": "python", "deployed": False, "title": "T"},
    },
}
POST = {"method": "POST", "deployed": True, "title": "T", "auth": ["session"], "params": {}}


def desired(folder: Path, **routes: Any) -> list[Desired]:
    """A manifest with these routes; `_` in a name stands for a dot."""
    named = {name.replace("_", "."): {**POST, **route} for name, route in routes.items()}
    (folder / "routes.yaml").write_bytes(orjson.dumps({**HEAD, "routes": named}))
    return check(folder / "routes.yaml")


def curl(
    state: list[Desired], token: str | None = "t", application: str = "shop"
) -> list[str] | None:
    actions = {route.record["handler"] for each in state for route in each.routes.values()}
    actions -= {"things.missing"}
    command = example.curl(URL, state, actions, application=application, token=token)
    return shlex.split(command.replace("\\\n", ""))[1:] if command else None


def test_curl_calls_the_first_route_that_an_employee_may_call(tmp_path: Path) -> None:
    state = desired(
        tmp_path,
        things_missing={},
        things_hidden={"deployed": False},
        later_create={},
        things_machine={"auth": ["application"]},
        things_client={"roles": {"shop": ["client"]}},
        things_create={
            "params": {
                "required": ["name", "kind", "count", "ok", "at", "part", "tags"],
                "properties": {
                    "name": {"type": "string", "minLength": 9},
                    "kind": {"enum": ["small", "big"]},
                    "count": {"type": ["null", "integer"], "minimum": 3},
                    "ok": {"type": "boolean"},
                    "at": {"type": "string", "format": "date-time"},
                    "part": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "integer"}},
                    },
                    "tags": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                },
            }
        },
        things_other={},
    )
    words = curl(state) or []
    assert words[:4] == ["-s", "-X", "POST", f"{URL}/api/v1/things/create"]
    assert "Authorization: Bearer t" in words
    assert orjson.loads(words[-1]) == {
        "name": "example--",
        "kind": "small",
        "count": 3,
        "ok": True,
        "at": "2026-01-31T12:00:00Z",
        "part": {"id": 1},
        "tags": ["example"],
    }


def test_curl_without_a_token_calls_a_public_route(tmp_path: Path) -> None:
    state = desired(tmp_path, things_a={}, things_b={"auth": "public", "idempotency": "off"})
    assert curl(state, token=None) == ["-s", "-X", "POST", f"{URL}/api/v1/things/b"]


@pytest.mark.parametrize("routes", [{}, {"things_machine": {"auth": ["application"]}}])
def test_curl_is_none_without_a_route_to_call(tmp_path: Path, routes: dict[str, Any]) -> None:
    assert curl(desired(tmp_path, **routes)) is None


def test_curl_of_a_get_has_its_params_in_path_and_query(tmp_path: Path) -> None:
    route = {
        "method": "GET",
        "path": "/things/{id:int}/{kind}",
        "params": {
            "required": ["id", "kind", "page"],
            "properties": {
                "id": {"type": "integer"},
                "kind": {"type": "string"},
                "page": {"type": "integer"},
            },
        },
    }
    words = curl(desired(tmp_path, things_read=route)) or []
    assert words[:2] == ["-s", f"{URL}/things/1/example?page=1"]


def test_curl_of_a_sensitive_route_is_base64(tmp_path: Path) -> None:
    params = {"required": ["secret"], "properties": {"secret": {"type": "string"}}}
    state = desired(tmp_path, things_a={"sensitive_params": True, "params": params})
    words = curl(state) or []
    assert orjson.loads(base64.b64decode(words[-1])) == {"secret": "example"}


def test_curl_of_plano_creates_an_order_stage() -> None:
    words = curl(check(ROOT / "routes.yaml"), application="planoorder") or []
    assert f"{URL}/api/v1/order_stages/create" in words
    assert orjson.loads(words[-1])["order_id"] == 7
