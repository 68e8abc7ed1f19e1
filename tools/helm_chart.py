"""Writes what the Helm chart has from elsewhere: settings, alerts and the version.

`python tools/helm_chart.py` writes the names of the settings into `values.schema.json`, copies the
alerts into the chart, since a chart reads no file outside its folder, and sets `appVersion`. The
table of values in the chart's README.md is one of `tools/tables.py`.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from gateway.runtime import setting_values
from gateway.runtime.setting import Setting
from gateway.settings import SETTINGS

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "plano-gateway"
FIXED = {"port", "admin_port", "data_dir"}
"""Settings that the chart's ports, probes and volumes depend on."""

OTHER_SECRETS = ("PGPASSWORD",)
_CHOICES: dict[Callable[[str], Any], tuple[str, ...]] = {
    setting_values.log_level: setting_values.LOG_LEVELS,
    setting_values.returns_checks: setting_values.RETURNS_CHECKS,
}
_DEFINITIONS: dict[Callable[[str], Any], str] = {
    setting_values.switch: "switch",
    setting_values.positive_integer: "count",
    setting_values.seconds: "seconds",
    setting_values.hang_timeout: "seconds",
}
_ROW = re.compile(r"^ *# ?(.*)$")


def files() -> dict[Path, str]:
    """The files that the chart has from elsewhere, with the text that they should have."""
    return {
        CHART / "values.schema.json": _schema(),
        CHART / "files" / "alerts.yaml": (ROOT / "deploy/prometheus/alerts.yaml").read_text(),
        CHART / "Chart.yaml": _chart(),
    }


def _schema() -> str:
    schema = json.loads((CHART / "values.schema.json").read_text())
    schema["properties"]["settings"]["properties"] = {
        setting.variable: _type(setting) for setting in SETTINGS if _is_value(setting)
    }
    secrets = [setting.variable for setting in SETTINGS if setting.secret]
    schema["$defs"]["secrets"]["propertyNames"]["enum"] = [*secrets, *OTHER_SECRETS]
    return json.dumps(schema, indent=2) + "\n"


def _is_value(setting: Setting) -> bool:
    """Whether the values may hold the setting: not a secret, but an address without a password."""
    if setting.name in FIXED:
        return False
    return not setting.secret or setting.parse is setting_values.database_url


def _type(setting: Setting) -> dict[str, Any]:
    if setting.secret:
        return {"$ref": "#/$defs/address"}
    if choices := _CHOICES.get(setting.parse):
        return {"enum": [*choices]}
    return {"$ref": f"#/$defs/{_DEFINITIONS.get(setting.parse, 'text')}"}


def _chart() -> str:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (CHART / "Chart.yaml").read_text()
    return re.sub(r"(?m)^appVersion: .*$", f'appVersion: "{version}"', text)


def values() -> list[tuple[str, str, str]]:
    """Each value that can be set: its key, its default, and the comment above it."""
    text = (CHART / "values.yaml").read_text()
    return list(_rows(yaml.compose(text), "", text.splitlines()))


def _rows(node: Any, prefix: str, lines: list[str]) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401
    """The rows of a mapping: each value, and each inner mapping that has a comment."""
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        comment = _comment(lines, key.start_mark.line)
        is_map = isinstance(value, yaml.MappingNode) and not value.flow_style and value.value
        if comment or not is_map:
            yield name, "" if is_map else _default(value, lines), comment
        if is_map:
            yield from _rows(value, f"{name}.", lines)


def _comment(lines: list[str], line: int) -> str:
    """The comment directly above a line, from `--` on."""
    rows: list[str] = []
    while line and (row := _ROW.match(lines[line - 1])):
        rows.insert(0, row[1])
        line -= 1
    return " ".join(rows).partition("-- ")[2]


def _default(node: yaml.Node, lines: list[str]) -> str:
    """The default as it stands in values.yaml."""
    start, end = node.start_mark, node.end_mark
    return lines[start.line][start.column : end.column]


def main() -> None:
    """Write each file that is out of date."""
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
