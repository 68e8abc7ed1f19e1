"""`reads` of a route: what `gateway check` takes and refuses, and how it is written back."""

from pathlib import Path

import pytest
from support.manifests import desired

from gateway.manifest.check import check
from gateway.manifest.records.written import as_written
from gateway.manifest.source.read import ManifestError

RECORD = {"from": "replica", "stale": 5.0}


def refusal(folder: Path, name: str = "things.list", **changes: object) -> str:
    route = {"reads": {"from": "replica", "stale": "5s"}, **changes}
    with pytest.raises(ManifestError) as caught:
        desired(folder, {name: route})
    return str(caught.value).partition(": ")[2]


def test_reads_are_stored_in_seconds_and_written_as_durations(tmp_path: Path) -> None:
    state = desired(tmp_path, {"things.list": {"reads": {"from": "replica", "stale": "5s"}}})
    assert state.routes["things.list"].record["reads"] == RECORD
    assert as_written("reads", RECORD) == {"from": "replica", "stale": "5s"}
    assert as_written("reads.stale", 1.5) == "1500ms"


def test_route_without_reads_has_none(tmp_path: Path) -> None:
    assert "reads" not in desired(tmp_path, {"things.list": {}}).routes["things.list"].record


@pytest.mark.parametrize("stale", ["999ms", "301s"])
def test_reads_have_a_least_and_a_greatest_age(tmp_path: Path, stale: str) -> None:
    message = refusal(tmp_path, reads={"from": "replica", "stale": stale})
    assert message == "routes: things.list: reads: stale: must be at least 1s and at most 300s"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_reads_of_a_method_that_writes_are_refused(tmp_path: Path, method: str) -> None:
    message = refusal(tmp_path, method=method)
    assert message == (
        f"routes: things.list: reads: {method} writes; only GET and POST may read from a replica"
    )


def test_reads_of_a_route_with_keys_are_refused(tmp_path: Path) -> None:
    assert "takes an Idempotency-Key writes" in refusal(tmp_path, idempotency="optional")


@pytest.mark.parametrize("service", ["sessions", "users", "clients"])
def test_reads_of_identity_are_refused(tmp_path: Path, service: str) -> None:
    message = refusal(tmp_path, f"{service}.list")
    assert message.endswith(f"{service} decides who may call, and is read from the primary alone")


def test_reads_of_an_http_service_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        """\
version: 1
namespace: test
services: {tours: {kind: http, deployed: true, title: T, secret: "env:TOURS", endpoints: ["http://127.0.0.1:1"]}}
routes:
  tours.list: {method: GET, deployed: true, title: T, auth: public, params: {},
    reads: {from: replica, stale: 5s}}
"""
    )
    with pytest.raises(ManifestError, match="tours of kind http has a database of its own"):
        check(file)


@pytest.mark.parametrize(
    "reads", ["replica", {"from": "replica"}, {"from": "primary", "stale": "5s"}, {"stale": "5s"}]
)
def test_reads_of_another_form_are_refused(tmp_path: Path, reads: object) -> None:
    assert refusal(tmp_path, reads=reads).startswith("routes: things.list: reads")
