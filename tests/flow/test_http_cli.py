"""The commands about services of `kind: http`: apply, plan, rollback, services, explain."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.cli import Gateway, gateway_in_process
from support.harness import execute
from support.upstreams import SECRET, VARIABLE, manifest

URL = "http://10.0.0.5:9000"
OTHER = "http://10.0.0.6:9000"


@pytest.fixture
def gateway(
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gateway:
    monkeypatch.setenv(VARIABLE, SECRET)
    return gateway_in_process(tmp_path, registry, monkeypatch, capsys)


def write(folder: Path, *endpoints: str, **changes: Any) -> None:
    (folder / "routes.yaml").write_bytes(orjson.dumps(manifest(endpoints, **changes)))


def test_apply_warns_of_a_secret_that_is_not_set(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, URL)
    monkeypatch.delenv(VARIABLE)
    assert VARIABLE not in gateway("check")[2]
    code, _, err = gateway("apply")
    assert code == 0
    assert f"warning: tours: the variable {VARIABLE} of its secret is not set here" in err
    monkeypatch.setenv(VARIABLE, SECRET)
    assert VARIABLE not in gateway("apply")[2]


def test_change_of_endpoints_is_planned_applied_and_rolled_back(
    gateway: Gateway, tmp_path: Path, registry: str
) -> None:
    write(tmp_path, URL, health={"path": "/healthz"})
    assert gateway("apply")[0] == 0
    write(tmp_path, URL, OTHER, timeout="2s")
    code, out, _ = gateway("plan")
    assert code == 2
    assert f'endpoints: ["{URL}"] -> ["{URL}","{OTHER}"]' in out
    assert "timeout: 500ms -> 2s" in out
    assert 'health: {"path":"/healthz","interval":5.0} -> (none)' in out
    assert gateway("apply", "--no-breaking")[0] == 0
    code, out, _ = gateway("dump")
    (tmp_path / "routes.yaml").write_text(out)
    assert gateway("plan")[0] == 0
    assert gateway("rollback", "1")[0] == 0
    [row] = asyncio.run(execute(registry, "select record from gateway.services"))
    assert row["record"]["endpoints"] == [URL]
    assert row["record"]["health"] == {"path": "/healthz", "interval": 5.0}


def test_services_lists_endpoints_that_no_worker_has_reported(
    gateway: Gateway, tmp_path: Path
) -> None:
    write(tmp_path, URL, OTHER)
    gateway("apply")
    code, out, _ = gateway("services", "--json")
    assert code == 0
    rows = [(row["service"], row["endpoint"], row["state"]) for row in orjson.loads(out)]
    assert rows == [("tours", URL, "not reported yet"), ("tours", OTHER, "not reported yet")]
    assert URL in gateway("services")[1]


def test_explain_says_where_a_call_goes(gateway: Gateway, tmp_path: Path) -> None:
    write(tmp_path, URL, OTHER)
    gateway("apply")
    _, out, _ = gateway("explain", "POST", "/api/v1/tours/book", "--json")
    answer = orjson.loads(out)
    assert answer["answer"] == "served"
    assert answer["sent_to"] == [f"POST {URL}/tours/book", f"POST {OTHER}/tours/book"]
    assert answer["timeout"] == "0.5 s an attempt, 10 s in total"
    assert gateway("routes")[1].count("served") >= 7
