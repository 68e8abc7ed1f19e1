"""Writes `deploy/grafana/plano-gateway.json`, the dashboard for Grafana, from the catalogue.

`python tools/dashboard.py` makes it; with `--check` it only says whether the file is out of date.
Each metric has a panel. Its expression depends on the kind of the metric, and on how the values of
several workers are combined.
"""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import click

from gateway.runtime.metric_catalogue import BY_NAME, Metric

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "deploy" / "grafana" / "plano-gateway.json"

ROWS = {
    "Requests": (
        "gateway_answers_total",
        "http_server_request_duration_seconds",
        "http_server_active_requests",
        "gateway_bodies",
    ),
    "Workers": (
        "gateway_workers",
        "gateway_worker_restarts_total",
        "gateway_event_loop_lag_seconds",
        "gateway_out_of_descriptors_seconds_total",
        "gateway_build_info",
    ),
    "Registry and callers": (
        "gateway_registry_revision",
        "gateway_registry_degraded",
        "gateway_registry_snapshot_age_seconds",
        "gateway_token_lookups_total",
    ),
    "Database": (
        "gateway_database_unavailable",
        "gateway_database_connections",
        "gateway_database_waiting",
        "gateway_database_timeouts_total",
        "gateway_database_asynchronous_standbys",
        "gateway_replica_reads_total",
    ),
    "HTTP services": (
        "gateway_service_calls",
        "gateway_service_endpoints",
        "gateway_service_ejections_total",
        "gateway_service_attempts_total",
        "gateway_service_attempt_seconds_total",
        "gateway_service_retries_total",
        "gateway_service_shed_total",
    ),
    "Outbox, notifications and log": (
        "gateway_notifications_open",
        "gateway_outbox_messages",
        "gateway_outbox_oldest_seconds",
        "gateway_events_total",
        "gateway_log_lines_dropped_total",
    ),
}
"""The rows of the dashboard, with the metrics of their panels."""

SELECTOR = 'job=~"$job",instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 3
WIDTH, HEIGHT = 24 // COLUMNS, 8
"""Panels in a line; the grid of Grafana has 24 columns."""


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; the same catalogue gives the same dashboard."""
    return {
        "uid": "plano-gateway",
        "title": "Plano gateway",
        "tags": ["plano-gateway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    """What a reader chooses above the panels: data source, jobs and instances."""
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    for name, query in (
        ("job", "label_values(gateway_build_info, job)"),
        ("instance", 'label_values(gateway_build_info{job=~"$job"}, instance)'),
    ):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        }


def _panels() -> Iterator[dict[str, Any]]:
    ids = count(1)
    y = 0
    for title, names in ROWS.items():
        yield {"id": next(ids), "type": "row", "title": title, "gridPos": _place(0, y, 24, 1)}
        y += 1
        for index, name in enumerate(names):
            place = _place(index % COLUMNS * WIDTH, y + index // COLUMNS * HEIGHT, WIDTH, HEIGHT)
            yield {"id": next(ids), "gridPos": place, **_panel(BY_NAME[name])}
        y += -(-len(names) // COLUMNS) * HEIGHT


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(metric: Metric) -> dict[str, Any]:
    queries = _queries(metric)
    return {
        "type": "timeseries",
        "title": _title(metric),
        "description": metric.sentence,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": _unit(metric), "min": 0}, "overrides": []},
        "options": {"legend": {"showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend}
            for index, (expr, legend) in enumerate(queries)
        ],
    }


def _queries(metric: Metric) -> list[tuple[str, str]]:
    """The expressions of a panel, each with the legend of its lines."""
    series = f"{metric.name}{{{SELECTOR}}}"
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or _title(metric)
    by = f" by ({', '.join(metric.labels)})" if metric.labels else ""
    if metric.kind == "histogram":
        return [(_quantile(metric, share), f"p{share * 100:g}") for share in (0.5, 0.9, 0.99)]
    if metric.kind == "counter":
        return [(f"sum{by} (rate({series}[$__rate_interval]))", legend)]
    if metric.combine == "each":
        return [(series, "{{instance}} {{pid}}")]
    # Every instance counts the same rows of the database: a sum would count them several times.
    function = "sum" if metric.combine == "sum" else "max"
    return [(f"{function}{by} ({series})", legend)]


def _quantile(metric: Metric, share: float) -> str:
    rate = f"rate({metric.name}_bucket{{{SELECTOR}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le) ({rate}))"


def _unit(metric: Metric) -> str:
    """Grafana's name of the unit; a counter is shown as a rate."""
    if metric.kind == "counter":
        return "percentunit" if metric.name.endswith("_seconds_total") else "ops"
    return "s" if metric.name.endswith("_seconds") else "short"


def _title(metric: Metric) -> str:
    words = metric.name.removeprefix("gateway_").removeprefix("http_server_").split("_")
    kept = [word for word in words if word not in {"total", "seconds", "info"}]
    return " ".join(kept).capitalize()


def main() -> None:
    """Write the dashboard; with `--check` only say whether it is out of date."""
    is_stale = not DASHBOARD.exists() or DASHBOARD.read_text() != text()
    if is_stale and "--check" in sys.argv:
        click.echo("deploy/grafana/plano-gateway.json is out of date; run `make docs-refresh`")
        sys.exit(1)
    if is_stale:
        DASHBOARD.write_text(text())


if __name__ == "__main__":
    main()
