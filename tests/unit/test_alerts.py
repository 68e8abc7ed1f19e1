"""The alerts for Prometheus and the dashboard for Grafana name metrics and pages that exist."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import dashboard
import pytest
import tables
from support.harness import ROOT

from gateway.runtime.metric_catalogue import BY_NAME, METRICS
from gateway.statuses import Fault

ALERTS = tables.alerts()
PANELS = [panel for panel in dashboard.dashboard()["panels"] if panel["type"] != "row"]
HISTOGRAM = re.compile(r"_(?:bucket|sum|count)$")
SERIES = re.compile(r"\b((?:gateway|http_server)_\w+)(?:\{([^}]*)\})?")
OF_PROMETHEUS = {"job", "instance"}
CASES = (ROOT / "tests" / "alerts" / "cases.yaml").read_text()


def expressions() -> list[str]:
    """All expressions of the alerts, of their cases, and of the dashboard."""
    panels = [target["expr"] for panel in PANELS for target in panel["targets"]]
    variables = [v["query"]["query"] for v in variables_of_queries()]
    cases = re.findall(r"(?:expr|series): (.*)", CASES)
    return [*(alert["expr"] for alert in ALERTS), *panels, *variables, *cases]


def variables_of_queries() -> Iterator[dict[str, Any]]:
    for variable in dashboard.dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable


def metric_of(name: str) -> str:
    """The metric to which a time series belongs."""
    return name if name in BY_NAME else HISTOGRAM.sub("", name)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_alerts_and_dashboard_name_metrics_and_labels_of_the_catalogue(expression: str) -> None:
    for name, selector in SERIES.findall(expression):
        metric = BY_NAME.get(metric_of(name))
        assert metric, name
        assert (metric_of(name) != name) == (metric.kind == "histogram"), name
        used = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector))
        assert used <= {*metric.labels, *OF_PROMETHEUS, "pid"}, expression
    grouped = {
        label
        for labels in re.findall(r"by \(([^)]*)\)", expression)
        for label in labels.split(", ")
    }
    known = {label for metric in METRICS for label in metric.labels}
    assert grouped <= {*known, *OF_PROMETHEUS, "le"}
    for faults in re.findall(r'fault=~?"([^"]*)"', expression):
        assert set(faults.split("|")) <= set(get_args(Fault))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_says_what_happens_and_what_to_do_and_links_a_page(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("Gateway")
    assert alert["labels"]["severity"] in {"warning", "critical"}
    annotations = alert["annotations"]
    assert annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    page, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)", (ROOT / page).read_text(), re.MULTILINE)
    assert not anchor or anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def test_dashboard_has_a_panel_for_each_metric_and_is_up_to_date() -> None:
    shown = [metric_of(SERIES.findall(panel["targets"][0]["expr"])[0][0]) for panel in PANELS]
    assert sorted(shown) == sorted(BY_NAME)
    assert dashboard.DASHBOARD.read_text() == dashboard.text()


def test_dashboard_takes_its_data_source_from_a_variable() -> None:
    text = dashboard.text()
    assert dashboard.dashboard()["templating"]["list"][0]["type"] == "datasource"
    assert set(re.findall(r'"uid": "([^"]*)"', text)) == {"plano-gateway", "${datasource}"}
    assert len({panel["id"] for panel in json.loads(text)["panels"]}) == len(PANELS) + len(
        dashboard.ROWS
    )


def test_dashboard_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in dashboard.dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
