"""Writes the tables of the documentation from the code that they describe.

`python tools/tables.py` rewrites the text between `<!-- table: NAME -->` and `<!-- end -->` in
README.md, docs/**/*.md and the chart's README.md, and the messages of the answers that these pages
show; with `--check` it only names the pages that are out of date.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import helm_chart
import orjson
import yaml

from gateway import statuses
from gateway.cli.main import app
from gateway.manifest.check import Desired, check
from gateway.notifications.kinds import KINDS
from gateway.runtime.events import CATALOGUE
from gateway.runtime.metric_catalogue import METRICS
from gateway.settings import SETTINGS

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"(<!-- table: ([a-z_.:,]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ANSWER = re.compile(
    r'("(?:status|error)": ?"([a-z-]+)",\s*"(?:message|error_msg)": ?")((?:[^"\\]|\\.)*)"'
)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return [
        ROOT / "README.md",
        helm_chart.CHART / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def with_tables(text: str) -> str:
    """A page's text with its tables, and the messages of its answers, up to date."""
    text = _MARKED.sub(lambda match: match[1] + _table(match[2]) + "\n" + match[3], text)
    meanings = _meanings()
    return _ANSWER.sub(lambda match: f'{match[1]}{meanings.get(match[2], match[3])}"', text)


def _table(name: str) -> str:
    kind, _, argument = name.partition(":")
    return "\n".join(TABLES[kind](argument))


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(value: Any) -> str:  # noqa: ANN401 - text and numbers
    return str(value).replace("|", "\\|")


def _statuses(_: str) -> list[str]:
    """The catalogue: the statuses of the Plano API's own pages first, then the gateway's."""
    catalogue = sorted(statuses.catalogue(), key=lambda status: not status.seed)
    rows = [
        (f"`{s.slug}`", s.http, s.stage, s.fault, s.meaning + ("" if s.seed else " *(ours)*"))
        for s in catalogue
    ]
    return _rows(("status", "HTTP", "stage", "fault", "when"), rows)


def _own_statuses(_: str) -> list[str]:
    """The statuses that routes of `routes.yaml` list as their own."""
    routes: dict[tuple[str, int, str], list[str]] = {}
    for name, route in _routes_by_name().items():
        for slug, status in route["statuses"].items():
            routes.setdefault((slug, status["http"], status["meaning"]), []).append(f"`{name}`")
    rows = [
        (f"`{slug}`", http, ", ".join(names), meaning)
        for (slug, http, meaning), names in sorted(routes.items())
    ]
    return _rows(("status", "HTTP", "routes", "when"), rows)


def _meanings() -> dict[str, str]:
    """What each status of the catalogue, and of the routes of `routes.yaml`, means."""
    own = {
        slug: status["meaning"]
        for route in _routes_by_name().values()
        for slug, status in route["statuses"].items()
    }
    return {**own, **{status.slug: status.meaning for status in statuses.catalogue()}}


def _settings(selection: str) -> list[str]:
    """All settings, or those that are named, separated by commas."""
    names = selection.split(",") if selection else [setting.name for setting in SETTINGS]
    by_name = {setting.name: setting for setting in SETTINGS}
    rows = [
        (f"`{s.variable}`", f"`{s.default}`" if s.default else "", s.meaning)
        for s in map(by_name.__getitem__, names)
    ]
    return _rows(("setting", "default", "meaning"), rows)


def _metrics(_: str) -> list[str]:
    rows = [
        (f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.sentence)
        for m in METRICS
    ]
    return _rows(("metric", "kind", "labels", "meaning"), rows)


def _events(_: str) -> list[str]:
    rows = [
        (f"`{e.name}`", e.level, ", ".join(f"`{name}`" for name in e.fields), e.sentence)
        for e in CATALOGUE
    ]
    return _rows(("event", "level", "fields", "meaning"), rows)


def _notifications(_: str) -> list[str]:
    rows = [(f"`{k.name}`", k.severity, k.meaning, k.resolved, k.advice) for k in KINDS]
    return _rows(("kind", "severity", "raised when", "resolved", "what to do"), rows)


def _alerts(_: str) -> list[str]:
    """The alerts for Prometheus, in the order of their file."""
    rows = [
        (
            f"`{rule['alert']}` {rule['labels']['severity']}",
            f"{rule['annotations']['summary']} {_link(rule['annotations']['runbook_url'])}",
            rule["annotations"]["description"],
        )
        for rule in alerts()
    ]
    return _rows(("alert", "meaning", "what to do"), rows)


def _link(page: str) -> str:
    """A link from a page in a folder of `docs/` to another page."""
    return f"[More]({page.replace('docs/', '../')})"


def alerts() -> list[dict[str, Any]]:
    """The rules of `deploy/prometheus/alerts.yaml`."""
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _values(_: str) -> list[str]:
    """The values of the Helm chart."""
    rows = [
        (f"`{name}`", f"`{default}`" if default else "", meaning)
        for name, default, meaning in helm_chart.values()
    ]
    return _rows(("value", "default", "meaning"), rows)


def _commands(_: str) -> list[str]:
    rows = [(f"`gateway {name}`", sentence) for name, sentence in commands()]
    return _rows(("command", "does"), rows)


def commands() -> list[tuple[str, str]]:
    """Every verb of the command line with the first sentence of its help."""
    return list(_verbs(app, ""))


def _verbs(command: Any, prefix: str) -> Iterable[tuple[str, str]]:  # noqa: ANN401
    for name, verb in sorted(command.commands.items()):
        if hasattr(verb, "commands"):
            yield from _verbs(verb, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", (verb.help or "").strip().split("\n")[0]


def _routes(_: str) -> list[str]:
    """The routes of `routes.yaml`, in the order of their paths."""
    routes = _routes_by_name()
    rows = [
        (f"`{route['method']} {route['path']}`", f"`{name}`", _callers(route), _options(route))
        for name, route in sorted(routes.items(), key=lambda item: item[1]["path"])
    ]
    return _rows(("method and path", "route", "callers", "options"), rows)


def _callers(route: Mapping[str, Any]) -> str:
    """Whose tokens a route takes, and which roles."""
    roles = [f"{slug}: {', '.join(names)}" for slug, names in (route["roles"] or {}).items()]
    callers = ", ".join(route["auth"]) or "public"
    return f"{callers} ({'; '.join(roles)})" if roles else callers


def _options(route: Mapping[str, Any]) -> str:
    """What differs from an ordinary route."""
    options = {
        "not deployed": not route["deployed"],
        "base64 body": route["sensitive_params"],
        "Shoplo dialect": route["envelope"] == "shoplo",
        f"idempotency {route['idempotency']}": route["idempotency"] != "off",
        "users without a role too": not route["client_required"],
    }
    limit = ["{} calls in {} s".format(*route["rate_limit"])] if route["rate_limit"] else []
    return "; ".join([*(option for option, holds in options.items() if holds), *limit])


def _params(route: str) -> list[str]:
    """A route's params, as they are documented: by order number, nested keys below their own."""
    rows = [(f"`{name}`", *cells) for name, *cells in params(schema_of(route))]
    return _rows(("param", "type", "order", "required", "meaning"), rows)


def _stages(_: str) -> list[str]:
    """The stages that the settings of the service order_stages name."""
    [settings] = [
        desired.services["order_stages"]["settings"]
        for desired in _application()
        if "order_stages" in desired.services
    ]
    rows = [(f"`{stage['stage']}`", stage["meaning"]) for stage in settings["stages"]]
    return _rows(("stage", "meaning"), rows)


@cache
def _application() -> list[Desired]:
    """The records of `routes.yaml`, checked, by namespace."""
    return check(ROOT / "routes.yaml")


def _routes_by_name() -> dict[str, dict[str, Any]]:
    return {name: r.record for desired in _application() for name, r in desired.routes.items()}


def schema_of(route: str) -> dict[str, Any]:
    """The whole schema of a route of `routes.yaml`."""
    [desired] = [desired for desired in _application() if route in desired.routes]
    schema: dict[str, Any] = orjson.loads(desired.routes[route].params)
    return schema


def params(schema: dict[str, Any]) -> Iterable[tuple[str, str, str, str, str]]:
    """The rows of a params table: name, type, order number, required, meaning."""
    properties = schema["properties"]
    for name in sorted(properties, key=lambda name: properties[name].get("x-order", 0)):
        param = properties[name]
        required = "required" if name in schema.get("required", ()) else ""
        order = str(param.get("x-order", ""))
        yield name, _type(param), order, required, param.get("description", "")
        for key, child in param.get("properties", {}).items():
            yield f"{name}.{key}", _type(child), "", "", child.get("description", "")


def _type(param: dict[str, Any]) -> str:
    """A param's type, as it is documented."""
    types = param.get("x-type", param["type"])
    return types if isinstance(types, str) else " or ".join(types)


TABLES: dict[str, Callable[[str], list[str]]] = {
    "statuses": _statuses,
    "own_statuses": _own_statuses,
    "settings": _settings,
    "metrics": _metrics,
    "events": _events,
    "notifications": _notifications,
    "alerts": _alerts,
    "values": _values,
    "commands": _commands,
    "routes": _routes,
    "params": _params,
    "stages": _stages,
}


def stale() -> list[Path]:
    """The pages whose tables differ from what the code says."""
    return [page for page in pages() if page.read_text() != with_tables(page.read_text())]


def main() -> None:
    """Rewrite the pages that are out of date; with `--check` only name them."""
    out_of_date = stale()
    if "--check" in sys.argv:
        for page in out_of_date:
            message = "a table is out of date; run `make docs-refresh`"
            click.echo(f"{page.relative_to(ROOT)}: {message}", err=True)
        sys.exit(bool(out_of_date))
    for page in out_of_date:
        page.write_text(with_tables(page.read_text()))


if __name__ == "__main__":
    main()
