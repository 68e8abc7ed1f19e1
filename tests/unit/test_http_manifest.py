"""Services of `kind: http` in a manifest: records, errors, warnings, and how changes read."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from support.upstreams import manifest

from gateway.manifest import dump, upstream_warnings
from gateway.manifest.check import Desired, check
from gateway.manifest.plan import records_of
from gateway.manifest.plan_words import field_lines
from gateway.manifest.records.breaking import breaking
from gateway.manifest.records.change import Change, compare
from gateway.manifest.records.stored import Stored
from gateway.manifest.source.read import ManifestError
from gateway.manifest.warnings import warnings
from gateway.registry.http_record import HealthCheck, Upstream
from gateway.registry.records import service_from, service_record

URL = "http://10.0.0.5:9000"


def checked(folder: Path, **changes: Any) -> Desired:
    """The desired state of the manifest; a change of `...` leaves a key out."""
    document = manifest([URL])
    service = document["services"]["tours"]
    merged = {**service, **changes}
    document["services"]["tours"] = {k: v for k, v in merged.items() if v is not ...}
    file = folder / "routes.yaml"
    file.write_bytes(orjson.dumps(document))
    [state] = check(file)
    return state


def errors(folder: Path, **changes: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        checked(folder, **changes)
    return [f"{each.path}: {each.message}" for each in caught.value.diagnostics]


def test_http_service_record_has_its_defaults(tmp_path: Path) -> None:
    record = checked(tmp_path, timeout=...).services["tours"]
    assert service_from("tours", record).upstream == Upstream(
        endpoints=(URL,), secret_variable="TOURS_SECRET", timeout=5.0, retries=1, health=None
    )
    assert service_record(service_from("tours", record)) == record


def test_http_service_record_has_its_values(tmp_path: Path) -> None:
    health = {"path": "/healthz", "interval": "500ms"}
    state = checked(tmp_path, timeout="250ms", retries=0, health=health)
    service = service_from("tours", state.services["tours"])
    assert service.upstream
    assert (service.upstream.timeout, service.upstream.retries) == (0.25, 0)
    assert service.upstream.health == HealthCheck(path="/healthz", interval=0.5)
    assert service_record(service) == state.services["tours"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoints": ...}, "services: tours: the key endpoints is missing"),
        ({"secret": ...}, "services: tours: the key secret is missing"),
        ({"endpoints": []}, "services: tours: endpoints: must not be empty"),
        ({"endpoints": [URL, URL]}, "services: tours: endpoints: must not have equal items"),
        ({"endpoints": URL}, "services: tours: endpoints: must be a list"),
        (
            {"endpoints": [URL, "http://169.254.169.254"]},
            "services: tours: endpoints: 1: must not have the link-local address 169.254.169.254",
        ),
        (
            {"secret": "TOURS_SECRET"},
            "services: tours: secret: must be env: and the name of an env",
        ),
        ({"timeout": "5"}, "services: tours: timeout: must be a whole number of ms or s"),
        ({"timeout": "9007199254740993s"}, "services: tours: timeout: is too large"),
        ({"retries": 6}, "services: tours: retries: must be at most 5"),
        ({"health": {}}, "services: tours: health: the key path is missing"),
        ({"health": {"path": "healthz"}}, "services: tours: health: path: must be a path such as"),
        (
            {"health": {"path": "/h", "every": 1}},
            "services: tours: health: every: unknown key every",
        ),
        (
            {"settings": {"a": 1}},
            "services: tours: settings: are only for services of kind: python",
        ),
        ({"kind": "python"}, "services: tours: endpoints: is only for services of kind: http"),
        ({"kind": "grpc"}, "services: tours: kind: must be python or http, not"),
    ],
    ids=str,
)
def test_http_service_that_cannot_be_called_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert any(message in error for error in errors(tmp_path, **changes)), errors(
        tmp_path, **changes
    )


def test_http_service_secret_is_never_a_text_in_the_manifest(tmp_path: Path) -> None:
    [error] = errors(tmp_path, secret="whsec_c2VjcmV0")
    assert "must be env:" in error
    assert "whsec_" not in error


def test_http_service_endpoint_in_place_of_a_list_is_shown_without_its_password(
    tmp_path: Path,
) -> None:
    [error] = errors(tmp_path, endpoints="http://me:hunter2@tours")
    assert "must be a list" in error
    assert "hunter2" not in error


def stored(state: Desired) -> Stored:
    records = dict(records_of(state))
    return Stored(records, dict.fromkeys(records, state.namespace), {}, frozenset())


@pytest.mark.parametrize("health", [..., {"path": "/healthz"}])
def test_http_service_dump_is_a_manifest_of_the_same_records(tmp_path: Path, health: Any) -> None:
    state = checked(tmp_path, timeout="1500ms", health=health)
    text = dump.as_yaml(stored(state), [state.namespace])
    assert yaml.safe_load(text)["services"]["tours"]["timeout"] == "1500ms"
    file = tmp_path / "dump.yaml"
    file.write_text(text)
    [again] = check(file)
    assert compare(records_of(state), records_of(again)) == []


def changes(folder: Path, **changed: Any) -> list[Change]:
    return compare(records_of(checked(folder)), records_of(checked(folder, **changed)))


def test_http_service_change_reads_as_the_manifest_and_breaks_no_caller(tmp_path: Path) -> None:
    health = {"path": "/healthz", "interval": "1500ms"}
    other = "http://10.0.0.6:9000"
    [change] = changes(tmp_path, endpoints=[other], timeout="2s", health=health)
    assert list(field_lines(change)) == [
        f'endpoints: ["{URL}"] -> ["{other}"]',
        "timeout: 500ms -> 2s",
        'health: (none) -> {"interval":1.5,"path":"/healthz"}',
    ]
    assert breaking([change]) == []


def test_http_service_that_is_no_longer_deployed_breaks_callers(tmp_path: Path) -> None:
    [change] = changes(tmp_path, deployed=False)
    assert breaking([change]) == [(change, ["is no longer deployed"])]


def warned(folder: Path, state: Desired) -> list[str]:
    """The warnings, without those about the roles of the routes."""
    messages = warnings(folder / "routes.yaml", [state], [])
    return [message for message in messages if "name the roles" not in message]


def test_http_service_needs_no_code_here(tmp_path: Path) -> None:
    state = checked(tmp_path, endpoints=["https://tours.example"], timeout=...)
    assert warned(tmp_path, state) == []


def test_http_service_without_tls_is_warned_of_where_params_are_sensitive(tmp_path: Path) -> None:
    state = checked(tmp_path, timeout=...)
    [warning] = warned(tmp_path, state)
    assert warning == "tours.secret: its sensitive params go to tours over http; use https"
    sidecar = checked(tmp_path, endpoints=["http://127.0.0.1:9000", "http://localhost:9"])
    assert list(upstream_warnings.plain_secrets([sidecar])) == []


def test_http_service_whose_attempts_outlast_a_route_is_warned_of(tmp_path: Path) -> None:
    state = checked(tmp_path, endpoints=["https://tours.example"], timeout="11s")
    warning, *_ = warned(tmp_path, state)
    assert warning == (
        "tours.book: its timeout, 10 s, is shorter than that of its service, 11 s; a call without "
        "an answer is not tried again"
    )
    state = checked(tmp_path, endpoints=["https://tours.example"], timeout="11s", retries=0)
    assert warned(tmp_path, state) == []


def test_http_service_is_warned_of_where_its_secret_is_not_set(tmp_path: Path) -> None:
    state = checked(tmp_path)
    unset = upstream_warnings.unset_secrets
    [warning] = unset([state], {"TOURS_SECRET": ""})
    assert warning.startswith("tours: the variable TOURS_SECRET of its secret is not set here")
    assert list(unset([state], {"TOURS_SECRET": "x"})) == []
    assert list(unset([checked(tmp_path, deployed=False)], {})) == []
