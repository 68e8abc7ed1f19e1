"""`gateway serve` and traces: without the extra, without a receiver, and switched off."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.command import Running, environment, free_port, running, wait_until
from support.harness import ROOT
from support.otlp import receiving

CREATE = "/api/v1/order_stages/create"
CREATED = f"POST {CREATE}"

LOADED = """
import sys
from gateway.serve.worker import Worker
from gateway.settings import Settings

Worker(Settings.load({}))
print(*(name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))))
"""


def create(url: str, tokens: dict[str, str]) -> int:
    body = {"token": tokens["employee"], "order_id": 7, "update_status": True}
    return httpx2.post(url + CREATE, json={**body, "stage": "scheduled"}).status_code


def lines(command: Running) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in command.err.splitlines() if line.startswith("{")]


def tracing(command: Running) -> list[tuple[str, str]]:
    """The events of tracing in the log of a command."""
    events = [line for line in lines(command) if line["event"].startswith("tracing.")]
    return [(line["event"], line.get("reason", "")) for line in events]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_sdk_is_not_loaded_unless_traces_are_asked_for(variables: dict[str, str]) -> None:
    program = [sys.executable, "-c", LOADED]
    loaded = subprocess.check_output(program, cwd=ROOT, env=environment(**variables), text=True)
    assert loaded.split() == []


def test_missing_extra_is_said_once_and_the_gateway_serves(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry'] = None\n")
    variables = {
        "GATEWAY_DATABASE_URL": database,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
    with running("serve", "--workers", "2", cwd=tmp_path, **variables) as command:
        assert create(command.url(), tokens) == 200
        wait_until(lambda: tracing(command))
    missing = "the extra `otel` is not installed"
    assert tracing(command) == [("tracing.unavailable", missing)]


def test_value_that_the_sdk_refuses_is_said_and_the_gateway_serves(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    variables = {
        "GATEWAY_DATABASE_URL": database,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
    }
    with running("serve", cwd=tmp_path, **variables) as command:
        assert create(command.url(), tokens) == 200
    refused = "the SDK refuses the variables: ValueError"
    assert tracing(command) == [("tracing.unavailable", refused)]


def test_absent_receiver_is_one_line_and_the_stop_is_clean(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    variables = {
        "GATEWAY_DATABASE_URL": database,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with running("serve", cwd=tmp_path, **variables) as command:
        assert create(command.url(), tokens) == 200
        wait_until(lambda: tracing(command))
        assert create(command.url(), tokens) == 200
    assert command.process.returncode == 0
    assert tracing(command) == [("tracing.export-failed", "ConnectionError")]
    # The SDK's own lines, which quote addresses, stay out.
    assert {line["event"] for line in lines(command)} <= {"request", *ABOUT_THE_START, *FAILED}


ABOUT_THE_START = {"registry.served", "log"}
FAILED = {"tracing.export-failed"}


def test_spans_of_each_worker_arrive_when_it_stops(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    with receiving() as (receiver, address):
        variables = {
            "GATEWAY_DATABASE_URL": database,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_SERVICE_NAME": "orders-gateway",
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with running("serve", "--workers", "2", cwd=tmp_path, **variables) as command:
            for _ in range(8):
                assert create(command.url(), tokens) == 200
        assert len(receiver.named(CREATED)) == 8
        assert receiver.resource["service.name"] == "orders-gateway"
        assert tracing(command) == []
