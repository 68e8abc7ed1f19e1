"""The files in `deploy/` match the gateway: its settings, verbs, paths and time-outs."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from starlette.routing import Route

from gateway.cli.main import app
from gateway.cli.settings import environment_file
from gateway.database.availability import Availability
from gateway.database.pool import Pool
from gateway.dev.postgres import programs
from gateway.pages import health
from gateway.pages.public import create_pages
from gateway.registry.follow import Registry
from gateway.serve.server import FINISH_TIMEOUT
from gateway.settings import SETTINGS, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STOP_MARGIN = 5
"""Seconds for stopping, beyond the drain delay and the time for requests in flight."""

FILES = sorted(file for file in DEPLOY.rglob("[!.]*") if file.is_file())
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
HA: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.ha.yaml").read_text())
DOCKERFILE = re.sub(
    r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text())
).splitlines()


def instructions(name: str, lines: list[str] = DOCKERFILE) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def final_stage() -> list[str]:
    last = max(i for i, line in enumerate(DOCKERFILE) if line.startswith("FROM "))
    return DOCKERFILE[last:]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "gateway.service")
    return parser


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def commands() -> Iterator[list[str]]:
    """Every command that a file in `deploy/` runs, from the word `gateway` on."""
    yield json.loads(instructions("CMD")[-1])
    yield shlex.split(unit()["Service"]["ExecStart"])
    shell, flag, script = SERVICES["migrate"]["command"]
    assert (shell, flag) == ("sh", "-c")
    for command in script.split(" && "):
        yield shlex.split(command.removeprefix("exec "))


# Settings and commands


def test_gateway_env_is_up_to_date() -> None:
    text = (DEPLOY / "gateway.env").read_text()
    assert text == environment_file(), "run `gateway config --env > deploy/gateway.env`"


def test_gateway_env_contains_every_setting_with_its_default() -> None:
    lines = [line[1:] for line in environment_file().splitlines() if line.startswith("#GATEWAY_")]
    environment = dict(line.split("=", 1) for line in lines)
    assert list(environment) == [setting.variable for setting in SETTINGS]
    assert Settings.load(environment) == Settings.load({})


def test_gateway_env_sets_nothing() -> None:
    assert all(line.startswith("#") for line in environment_file().splitlines() if line)


@pytest.mark.parametrize(
    "file",
    [*FILES, ROOT / "docs" / "how-to" / "deploy.md"],
    ids=lambda file: file.name,
)
def test_deploy_file_names_only_existing_settings(file: Path) -> None:
    named = set(re.findall(r"GATEWAY_[A-Z_]+", file.read_text()))
    files = {setting.file_variable for setting in SETTINGS if setting.secret}
    assert named <= {setting.variable for setting in SETTINGS} | files


def test_compose_sets_valid_values() -> None:
    for name in ("migrate", "gateway"):
        Settings.load(SERVICES[name]["environment"])


@pytest.mark.parametrize("command", list(commands()), ids=shlex.join)
def test_deploy_command_is_a_gateway_command(command: list[str]) -> None:
    assert Path(command[0]).name == "gateway"
    # Options before --help are parsed first, so an unknown verb or option fails.
    result = CliRunner().invoke(app, [*command[1:], "--help"])
    assert result.exit_code == 0, result.output


# Dockerfile


def test_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [str(hadolint), "--no-color", str(DEPLOY / "Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_dockerfile_pins_the_base_image() -> None:
    base, lock = instructions("ARG")
    assert base == "BASE=python:3.11-slim-bookworm"
    assert lock == "LOCK=requirements-serve.lock"
    assert instructions("FROM") == ["${BASE} AS build", "${BASE}"]


def test_dockerfile_does_not_run_as_root() -> None:
    user, group = instructions("USER", final_stage())[-1].split(":")
    assert int(user) > 0
    assert int(group) > 0
    script = " ".join(instructions("RUN", final_stage()))
    assert f"--uid {user} " in script
    assert f"--gid {group} " in script


def test_dockerfile_has_a_folder_for_the_snapshot_that_compose_keeps() -> None:
    [environment] = instructions("ENV", final_stage())
    folder = dict(pair.split("=", 1) for pair in environment.split())["GATEWAY_DATA_DIR"]
    script = " ".join(instructions("RUN", final_stage()))
    assert f"install --directory --owner=gateway --group=gateway --mode=700 {folder}" in script
    [volume] = SERVICES["gateway"]["volumes"]
    name, mounted = volume.split(":")
    assert mounted == folder
    assert name in COMPOSE["volumes"]
    assert "volumes" not in SERVICES["migrate"]


def test_dockerignore_lets_only_copied_files_through() -> None:
    copied = {
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)
    assert "*" in ignored


class _Live(BaseHTTPRequestHandler):
    alive = True

    def do_GET(self) -> None:
        self.send_response(200 if self.alive and self.path == "/-/live" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("alive", [True, False])
def test_dockerfile_health_check_reports_liveness(alive: bool) -> None:  # noqa: FBT001
    python, *arguments = json.loads(instructions("HEALTHCHECK")[0].split(" CMD ", 1)[1])
    assert python == "python"
    handler = type("Handler", (_Live,), {"alive": alive})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # A proxy in the environment must not be used.
        environment = {
            "GATEWAY_PORT": str(server.server_port),
            "http_proxy": "http://127.0.0.1:1",
        }
        command = [sys.executable, *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, check=False)
        server.shutdown()
    assert (result.returncode == 0) is alive


def test_dockerfile_health_check_uses_a_page_of_the_gateway() -> None:
    (path,) = re.findall(r"(/-/\w+)", instructions("HEALTHCHECK")[0])
    checks = health.Health(Registry(""), Pool("", 1), Availability())
    pages = create_pages(checks, None, lambda _: pytest.fail("is not started"))
    assert path in {route.path for route in pages.routes if isinstance(route, Route)}


# Compose


def test_compose_contains_no_password() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert value.startswith("${POSTGRES_PASSWORD:?")
            assert not re.search(r"://[^/@]*:[^/@]*@", value)


def test_compose_starts_database_then_migrations_then_gateway() -> None:
    assert SERVICES["gateway"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "healthcheck" in SERVICES["postgres"]
    restarts = {name: service["restart"] for name, service in SERVICES.items()}
    assert restarts == {"postgres": "unless-stopped", "migrate": "no", "gateway": "unless-stopped"}


def test_compose_publishes_only_the_gateway_on_loopback() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    inside = SERVICES["gateway"]["environment"]["GATEWAY_PORT"]
    assert ports == {"gateway": [f"${{PUBLISH:-127.0.0.1:8000}}:{inside}"]}


@pytest.mark.parametrize("name", SERVICES)
def test_compose_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_gives_the_gateway_time_to_stop() -> None:
    gateway = SERVICES["gateway"]
    delay = seconds(gateway["environment"]["GATEWAY_DRAIN_DELAY"])
    assert seconds(gateway["stop_grace_period"]) >= delay + FINISH_TIMEOUT + STOP_MARGIN


def test_compose_pins_the_postgres_version_of_the_tests() -> None:
    pinned = re.fullmatch(r"postgres:(\d+)\.\d+-bookworm", SERVICES["postgres"]["image"])
    assert pinned
    assert int(pinned[1]) == programs.version(programs.find_binaries())


def test_compose_with_two_gateways_differs_in_their_number_and_the_balancer() -> None:
    def without_network(service: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in service.items() if key != "networks"}

    services = HA["services"]
    assert without_network(services["postgres"]) == SERVICES["postgres"]
    environment = {
        **SERVICES["migrate"]["environment"],
        "GATEWAY_KEEP_ALIVE": "75",
        "GATEWAY_TRUSTED_PROXIES": HA["networks"]["calls"]["ipam"]["config"][0]["subnet"],
    }
    migrate = {**SERVICES["migrate"], "environment": environment}
    assert without_network(services["migrate"]) == migrate
    Settings.load(environment)
    snapshots = []
    for name in ("gateway-1", "gateway-2"):
        gateway = without_network(services[name])
        snapshots += gateway.pop("volumes")
        assert "/-/ready" in gateway.pop("healthcheck")["test"][-1]
        expected = {**SERVICES["gateway"], "environment": environment}
        del expected["ports"], expected["volumes"]
        assert gateway == expected
    assert len({*snapshots}) == 2
    assert {name for name, service in services.items() if "ports" in service} == {"haproxy"}


def test_balancer_of_compose_prefers_gateways_that_reach_the_database() -> None:
    configuration = HA["configs"]["haproxy"]["content"]
    asked = re.findall(r"option httpchk GET (\S+)", configuration)
    assert asked == ["/-/ready?database", "/-/ready"]
    servers = re.findall(r" server \w+ (\S+):(\d+)", configuration)
    port = HA["services"]["gateway-1"]["environment"]["GATEWAY_PORT"]
    assert servers == [("gateway-1", port), ("gateway-2", port)] * 2
    for service in ("gateway-1", "haproxy"):
        assert "calls" in HA["services"][service]["networks"]
    assert HA["services"]["haproxy"]["networks"] == ["calls"]


# systemd


def test_systemd_unit_is_complete() -> None:
    assert unit().sections() == ["Unit", "Service", "Install"]
    service = unit()["Service"]
    assert service["EnvironmentFile"] == "/etc/plano-gateway/gateway.env"
    assert service["ExecStart"].startswith("/opt/plano-gateway/bin/gateway ")
    assert "ExecStartPre" not in service
    assert service["Restart"] == "on-failure"
    assert service["Type"] == "notify"
    # One sign of life comes in a second, the first when the gateway serves.
    assert seconds(service["WatchdogSec"]) >= 10


def test_systemd_unit_gives_the_secret_as_a_file_and_a_folder_for_the_snapshot() -> None:
    text = (DEPLOY / "gateway.service").read_text()
    variables = dict(re.findall(r"(?m)^Environment=(\w+)=(.+)$", text))
    name, source = unit()["Service"]["LoadCredential"].split(":")
    assert source.startswith("/etc/plano-gateway/")
    state = f"%S/{unit()['Service']['StateDirectory']}"
    assert variables == {
        "GATEWAY_DATABASE_URL_FILE": f"%d/{name}",
        "GATEWAY_DATA_DIR": state,
    }
    assert unit()["Service"]["StateDirectoryMode"] == "0700"


def test_systemd_unit_signals_only_the_supervisor_and_gives_it_time() -> None:
    service = unit()["Service"]
    assert service["KillMode"] == "mixed"
    named = re.search(
        r"GATEWAY_DRAIN_DELAY up to (\d+)\.", (DEPLOY / "gateway.service").read_text()
    )
    assert named
    assert seconds(service["TimeoutStopSec"]) >= int(named[1]) + FINISH_TIMEOUT + STOP_MARGIN


def test_systemd_unit_is_hardened() -> None:
    service = unit()["Service"]
    on = ["DynamicUser", "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome"]
    assert {service[key] for key in on} == {"yes"}
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_unit_passes_verification(tmp_path: Path) -> None:
    # systemd-analyze checks that the program exists: use one that does.
    text = (DEPLOY / "gateway.service").read_text()
    installed = text.replace("/opt/plano-gateway/bin/gateway", sys.executable)
    copy = tmp_path / "gateway.service"
    copy.write_text(installed)
    command = ["systemd-analyze", "--man=no", "verify", str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
