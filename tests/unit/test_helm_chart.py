"""What the chart renders matches the gateway: settings, ports, times, user; and is hardened."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_chart
import pytest
import renderings
import yaml
from helm_chart import CHART
from support.harness import ROOT

from gateway.database.availability import Availability
from gateway.database.pool import Pool
from gateway.pages import health
from gateway.pages.public import create_pages
from gateway.registry.follow import Registry
from gateway.serve.server import FINISH_TIMEOUT
from gateway.settings import SETTINGS, Settings

STOP_MARGIN = 10
"""Seconds for stopping, beyond the drain delay and the time for requests in flight."""

FILES = [
    *sorted(renderings.RENDERINGS.glob("*.yaml")),
    renderings.KUBERNETES / "base" / "gateway.yaml",
    renderings.KUBERNETES / "migrate" / "job.yaml",
]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def pods() -> Iterator[Any]:
    """The pods of every rendering, each with the name of its file and kind."""
    for file in FILES:
        for document in documents(file):
            if document["kind"] in {"Deployment", "Job"}:
                pod = document["spec"]["template"]["spec"]
                yield pytest.param(pod, id=f"{file.stem}-{document['kind']}")


PODS = list(pods())
DEPLOYMENTS = [pod for pod in PODS if pod.id.endswith("-Deployment")]


def environment(pod: dict[str, Any]) -> dict[str, str]:
    [container] = pod["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.mark.parametrize("file", [*helm_chart.files()], ids=lambda file: file.name)
def test_chart_has_the_settings_alerts_and_version_of_the_gateway(file: Path) -> None:
    assert file.read_text() == helm_chart.files()[file], "run `make docs-refresh`"


def test_values_may_hold_each_setting_that_is_not_secret() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    allowed = {*schema["properties"]["settings"]["properties"]}
    addresses = {s.variable for s in SETTINGS if s.secret and s.variable in allowed}
    assert all(name.endswith("DATABASE_URL") for name in addresses)
    fixed = {s.variable for s in SETTINGS if s.name in helm_chart.FIXED}
    open_settings = {s.variable for s in SETTINGS if not s.secret}
    assert allowed - addresses == open_settings - fixed
    assert {*VALUES["settings"]} <= allowed


def test_each_group_of_values_says_what_it_is_for() -> None:
    rows = helm_chart.values()
    for group in {name.partition(".")[0] for name, _, _ in rows}:
        meanings = [meaning for name, _, meaning in rows if name.partition(".")[0] == group]
        assert any(meanings), f"write a comment with `--` above {group}"


@pytest.mark.parametrize("pod", PODS)
def test_pod_gets_valid_settings_and_secrets_by_reference_alone(pod: dict[str, Any]) -> None:
    variables = environment(pod)
    secret = {setting.variable for setting in SETTINGS if setting.secret}
    files = {setting.file_variable for setting in SETTINGS if setting.secret}
    for name, value in variables.items():
        assert name not in secret or re.fullmatch(r"postgresql://\w+@[^@:]+:\d+/\S+", value)
        assert "PASSWORD" not in name or not value
    known = {setting.variable for setting in SETTINGS} | files
    assert {name for name in variables if name.startswith("GATEWAY_")} <= known
    Settings.load({name: text for name, text in variables.items() if name not in files})
    [container] = pod["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {variables[name].rpartition("/")[0] for name in files & {*variables}} <= mounted


@pytest.mark.parametrize("pod", PODS)
def test_pod_is_hardened(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in DOCKERFILE.splitlines()
    assert security["fsGroup"] == security["runAsGroup"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert "cpu" not in container["resources"]["limits"]


@pytest.mark.parametrize("pod", DEPLOYMENTS)
def test_gateway_gets_time_to_stop_and_no_hook_that_waits(pod: dict[str, Any]) -> None:
    delay = float(environment(pod)["GATEWAY_DRAIN_DELAY"])
    assert pod["terminationGracePeriodSeconds"] == delay + FINISH_TIMEOUT + STOP_MARGIN
    assert pod["shareProcessNamespace"] is True
    assert "lifecycle" not in pod["containers"][0]


@pytest.mark.parametrize("pod", DEPLOYMENTS)
def test_gateway_is_asked_on_its_pages_and_ports(pod: dict[str, Any]) -> None:
    [container] = pod["containers"]
    pages = create_pages(
        health.Health(Registry(""), Pool("", 1), Availability()),
        None,
        lambda _: pytest.fail("is not started"),
    )
    paths = {getattr(route, "path", "") for route in pages.routes}
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness")}
    assert {probe["path"] for probe in probes.values()} == {"/-/live"}
    ready = container["readinessProbe"]["httpGet"]
    assert ready["path"] == "/-/ready"
    assert {"/-/live", "/-/ready"} <= paths
    assert {probe["port"] for probe in [*probes.values(), ready]} == {"http"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = Settings.load({})
    assert ports == {"http": settings.port, "admin": settings.admin_port}


@pytest.mark.parametrize("pod", DEPLOYMENTS)
def test_snapshot_and_temporary_files_have_volumes(pod: dict[str, Any]) -> None:
    [container] = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    folder = environment(pod)["GATEWAY_DATA_DIR"]
    assert f"GATEWAY_DATA_DIR={folder}" in DOCKERFILE
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "emptyDir" in volumes[mounts[folder]]
    assert "emptyDir" in volumes[mounts["/tmp"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_admin_port_is_not_exposed(file: Path) -> None:
    for document in documents(file):
        if document["kind"] == "Ingress":
            assert "admin" not in str(document["spec"])
        if document["kind"] == "Service" and document["metadata"]["name"].endswith("-admin"):
            assert document["spec"]["type"] == "ClusterIP"
        if document["kind"] == "NetworkPolicy":
            for rule in document["spec"]["ingress"]:
                assert rule["ports"] == [{"port": "http"}] or rule["from"]
    kinds = {document["kind"] for document in documents(file)}
    assert "NetworkPolicy" in kinds or kinds == {"Job"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_migrations_run_before_the_gateway_changes(file: Path) -> None:
    jobs = [document for document in documents(file) if document["kind"] == "Job"]
    for job in jobs:
        annotations = job["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        # A hook before the installation cannot use what the chart creates.
        assert "serviceAccountName" not in job["spec"]["template"]["spec"]
        [container] = job["spec"]["template"]["spec"]["containers"]
        assert "gateway migrate" in " ".join(container["args"])
    assert bool(jobs) == (file.parent.name != "base")


def test_the_pooler_and_the_cluster_lose_no_acknowledged_call() -> None:
    [cluster] = documents(renderings.KUBERNETES / "database" / "cluster.yaml")
    assert cluster["spec"]["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
        "failoverQuorum": True,
    }
    assert cluster["spec"]["instances"] >= 3
    [pooler] = documents(renderings.KUBERNETES / "database" / "pooler.yaml")
    assert pooler["spec"]["pgbouncer"]["poolMode"] == "transaction"
    assert int(pooler["spec"]["pgbouncer"]["parameters"]["max_prepared_statements"]) >= 200
    values = yaml.safe_load((CHART / "values" / "cloudnative-pg.yaml").read_text())
    assert f"@{pooler['metadata']['name']}:" in values["settings"]["GATEWAY_DATABASE_URL"]
    name = cluster["metadata"]["name"]
    assert f"@{name}-rw:" in values["settings"]["GATEWAY_LISTEN_DATABASE_URL"]
    assert values["secrets"]["PGPASSWORD"]["name"] == f"{name}-app"
