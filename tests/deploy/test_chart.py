"""The chart is valid, renders what is kept here, and refuses secrets among its settings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import renderings
import yaml
from helm_chart import CHART
from support.harness import ROOT

from gateway.settings import SETTINGS

BIN = Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-deploy") / "bin"
HELM, KUBECTL = str(BIN / "helm"), str(BIN / "kubectl")
MINIMAL = CHART / "values" / "minimal.yaml"
CUSTOM = {"Cluster", "Pooler", "PrometheusRule", "ServiceMonitor"}
"""Kinds of operators, which have no schema here."""

OVERLAYS = sorted(file.parent for file in renderings.KUBERNETES.rglob("kustomization.yaml"))
KUBERNETES_VERSIONS = ("1.27", "1.37")
"""The oldest that the chart says it supports, and the newest with a schema."""

SECRET = "hunter2"


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=text, capture_output=True, check=False, text=True, timeout=60
    )


def rendered(*options: str, values: Path = MINIMAL) -> subprocess.CompletedProcess[str]:
    return run(HELM, "template", "shop", str(CHART), "--values", str(values), *options)


def assert_valid(file: Path, version: str) -> None:
    result = run(
        *(str(BIN / "kubernetes-validate"), "--strict", "--kubernetes-version", version),
        str(file),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all(file.read_text()) if document]
    checked = [line for line in result.stdout.splitlines() if " passed for resource " in line]
    assert len(checked) == len([kind for kind in kinds if kind not in CUSTOM]), result.stdout


@pytest.mark.parametrize("values", renderings.values_files(), ids=lambda file: file.stem)
def test_chart_passes_helms_own_checks(values: Path) -> None:
    result = run(HELM, "lint", "--strict", str(CHART), "--values", str(values))
    assert result.returncode == 0, result.stdout


def test_renderings_are_up_to_date() -> None:
    files = renderings.renderings(HELM)
    stale = [str(file.relative_to(ROOT)) for file in files if file.read_text() != files[file]]
    assert stale == [], "run `make chart-refresh`"
    assert {*renderings.RENDERINGS.glob("*.yaml")} <= {*files}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("values", renderings.values_files(), ids=lambda file: file.stem)
def test_rendering_is_valid_for_kubernetes(values: Path, version: str) -> None:
    assert_valid(renderings.RENDERINGS / values.name, version)


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_kustomize_builds_a_valid_manifest(folder: Path, tmp_path: Path) -> None:
    result = run(KUBECTL, "kustomize", str(folder))
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", "no warning"
    (tmp_path / "manifest.yaml").write_text(result.stdout)
    assert_valid(tmp_path / "manifest.yaml", KUBERNETES_VERSIONS[-1])
    for document in yaml.safe_load_all(result.stdout):
        namespace = document["metadata"].get("namespace", document["metadata"]["name"])
        assert namespace == renderings.NAME


SECRETS = [setting.variable for setting in SETTINGS if setting.secret]


@pytest.mark.parametrize(
    "values",
    [
        *({"settings": {name: f"whsec_{SECRET}"}} for name in SECRETS if "DATABASE" not in name),
        *(
            {"settings": {name: f"postgresql://u:{SECRET}@h/d"}}
            for name in SECRETS
            if "DATABASE" in name
        ),
        {"settings": {"GATEWAY_DATABASE_URL": f"postgresql://u@h/d?password={SECRET}"}},
        {"settings": {"GATEWAY_MANDRILL_URL": f"https://u:{SECRET}@mandrill.example/"}},
        {"secrets": {"GATEWAY_SNAPSHOT_KEY": SECRET}},
        {"migrate": {"secrets": {"GATEWAY_DATABASE_URL": f"postgresql://u:{SECRET}@h/d"}}},
        {"extraEnv": [{"name": "PGPASSWORD", "value": SECRET}]},
        {"extraEnv": [{"name": "GATEWAY_WEBHOOK_SECRET", "value": SECRET}]},
        {"extraEnv": [{"name": "OTHER_URL", "value": f"https://u:{SECRET}@h/"}]},
    ],
    ids=json.dumps,
)
def test_schema_refuses_a_secret_and_does_not_print_it(
    values: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    result = rendered("--values", str(tmp_path / "values.yaml"))
    assert result.returncode == 1
    assert "values don't meet the specifications of the schema" in result.stderr
    assert SECRET not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "replica=3"), "additional properties 'replica' not allowed"),
        (("--set", "settings.GATEWAY_WORKER=3"), "'GATEWAY_WORKER' not allowed"),
        (("--set", "settings.GATEWAY_LOG_LEVEL=loud"), "/settings/GATEWAY_LOG_LEVEL"),
        (("--set", "settings.GATEWAY_PORT=80"), "'GATEWAY_PORT' not allowed"),
        (("--set", "settings.GATEWAY_SERVICE_CALLS=0"), "/settings/GATEWAY_SERVICE_CALLS"),
        (("--set", "settings.GATEWAY_KEEP_ALIVE=soon"), "/settings/GATEWAY_KEEP_ALIVE"),
        (
            ("--set", "settings.GATEWAY_PROXY_PROTOCOL=on"),
            "missing property 'GATEWAY_TRUSTED_PROXIES'",
        ),
        (
            ("--set", f"settings.GATEWAY_DATABASE_URL=postgresql://u:{SECRET}@h/d"),
            "a password belongs into a Secret",
        ),
        (
            ("--set", "settings.GATEWAY_DATABASE_URL=postgresql://u@h/d"),
            "GATEWAY_DATABASE_URL is in `settings` and in `secrets`",
        ),
        (
            ("--set", "autoscaling.enabled=true,autoscaling.cpuPercent=0"),
            "autoscaling has no target",
        ),
        (("--set", "ingress.enabled=true"), "the Ingress has no host"),
        (
            ("--set", "serviceMonitor.enabled=true,adminService.enabled=false"),
            "set adminService.enabled",
        ),
    ],
)
def test_chart_names_what_is_wrong_with_the_values(options: tuple[str, ...], message: str) -> None:
    result = rendered(*options)
    assert result.returncode == 1
    assert message in result.stderr


def test_chart_without_values_says_which_secret_it_needs() -> None:
    result = rendered(values=CHART / "values.yaml")
    assert result.returncode == 1
    assert "GATEWAY_DATABASE_URL is missing. Create a Secret," in result.stderr


def test_settings_keep_their_text() -> None:
    written = {
        "GATEWAY_MAX_BODY_BYTES": (134217728, "134217728"),
        "GATEWAY_DRAIN_DELAY": (2.5, "2.5"),
        "GATEWAY_DOCUMENTATION": (False, "off"),
        "GATEWAY_CORS_ORIGINS": ("*", "*"),
    }
    values = json.dumps({name: value for name, (value, _) in written.items()})
    result = rendered("--set-json", f"settings={values}")
    assert result.returncode == 0, result.stderr
    [deployment] = [d for d in yaml.safe_load_all(result.stdout) if d["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert {name: text for name, (_, text) in written.items()}.items() <= environment.items()
    assert pod["terminationGracePeriodSeconds"] == 43


def test_alerts_and_monitor_of_a_release_have_the_same_job() -> None:
    result = rendered("--set", "serviceMonitor.enabled=true,prometheusRule.enabled=true")
    documents = {d["kind"]: d for d in yaml.safe_load_all(result.stdout)}
    [endpoint] = documents["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "shop-plano-gateway"}]
    rules = documents["PrometheusRule"]["spec"]["groups"][0]["rules"]
    source = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    expected = json.dumps(source["groups"][0]["rules"], sort_keys=True)
    assert json.dumps(rules, sort_keys=True) == expected.replace(
        "plano-gateway", "shop-plano-gateway"
    )


def test_notes_say_what_to_do_next() -> None:
    command = (HELM, "install", "shop", str(CHART), "--namespace", "web", "--dry-run=client")
    result = run(*command, "--values", str(CHART / "values" / "production.yaml"))
    assert result.returncode == 0, result.stderr
    notes = result.stdout.partition("NOTES:")[2]
    for words in (
        "kubectl --namespace web rollout status deployment/shop-plano-gateway",
        "exec deployment/shop-plano-gateway -- gateway apply",
        "curl https://api.example.com/-/ready",
        "port-forward service/shop-plano-gateway-admin 8001:8001",
    ):
        assert words in notes
    assert "WARNING" not in notes


def test_balancer_of_compose_has_a_valid_configuration(tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.ha.yaml").read_text())
    (tmp_path / "haproxy.cfg").write_text(compose["configs"]["haproxy"]["content"])
    result = run("haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


def test_yaml_has_no_duplicate_key_and_no_ambiguous_value() -> None:
    files = [
        *CHART.glob("*.yaml"),
        *renderings.values_files(),
        *renderings.KUBERNETES.rglob("*.yaml"),
        *(ROOT / "deploy").glob("*.yaml"),
    ]
    rules = "{rules: {key-duplicates: enable, truthy: enable, trailing-spaces: enable}}"
    result = run(str(BIN / "yamllint"), "--strict", "--config-data", rules, *map(str, files))
    assert result.returncode == 0, result.stdout
