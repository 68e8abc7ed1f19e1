"""Writes the tables of the documentation from the code that they describe.

`python docs/tables.py` rewrites what stands between `<!-- table: NAME -->` and `<!-- end -->` in
README.md and docs/*.md; `--check` only says whether something is stale.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from gateway import statuses
from gateway.cli.main import app
from gateway.manifest.check import check
from gateway.runtime.metrics import METRICS
from gateway.settings import SETTINGS

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"(<!-- table: ([a-z_.:]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def written(text: str) -> str:
    """A page's text with all its tables made anew."""
    return _MARKED.sub(lambda found: found[1] + _table(found[2]) + "\n" + found[3], text)


def _table(name: str) -> str:
    kind, _, rest = name.partition(":")
    return "\n".join(TABLES[kind](rest))


def _rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(value: Any) -> str:  # noqa: ANN401 - text and numbers
    return str(value).replace("|", "\\|")


def _statuses(_: str) -> list[str]:
    """The catalogue: the statuses of the Plano API's own pages first, then the gateway's."""
    found = sorted(statuses.catalogue(), key=lambda status: not status.seed)
    rows = [
        (f"`{s.slug}`", s.http, s.stage, s.fault, s.meaning + ("" if s.seed else " *(ours)*"))
        for s in found
    ]
    return _rows(("status", "HTTP", "stage", "fault", "when"), rows)


def _settings(_: str) -> list[str]:
    rows = [(f"`{s.variable}`", f"`{s.default}`" if s.default else "", s.meaning) for s in SETTINGS]
    return _rows(("setting", "default", "meaning"), rows)


def _metrics(_: str) -> list[str]:
    rows = [
        (f"`{m.name}`", ", ".join(f"`{label}`" for label in m.labels), m.sentence) for m in METRICS
    ]
    return _rows(("metric", "labels", "meaning"), rows)


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


def _params(route: str) -> list[str]:
    """A route's params, as they are documented: by order number, nested keys below their own."""
    rows = [(f"`{name}`", *rest) for name, *rest in params(schema_of(route))]
    return _rows(("param", "type", "order", "required", "meaning"), rows)


def schema_of(route: str) -> dict[str, Any]:
    """The whole schema of a route of `routes.yaml`."""
    [found] = [each for each in check(ROOT / "routes.yaml") if route in each.routes]
    schema: dict[str, Any] = orjson.loads(found.routes[route].params)
    return schema


def params(schema: dict[str, Any]) -> Iterable[tuple[str, str, str, str, str]]:
    """The rows of a params table: name, type, order number, required, meaning."""
    properties = schema["properties"]
    for name in sorted(properties, key=lambda name: properties[name].get("x-order", 0)):
        param = properties[name]
        kind = param.get("x-type", param["type"])
        required = "required" if name in schema.get("required", ()) else ""
        order = str(param.get("x-order", ""))
        yield name, kind, order, required, param.get("description", "")
        for inner, child in param.get("properties", {}).items():
            yield f"{name}.{inner}", child["type"], "", "", child.get("description", "")


TABLES: dict[str, Callable[[str], list[str]]] = {
    "statuses": _statuses,
    "settings": _settings,
    "metrics": _metrics,
    "commands": _commands,
    "params": _params,
}


def stale() -> list[Path]:
    """The pages whose tables are not what the code says."""
    return [page for page in pages() if page.read_text() != written(page.read_text())]


def main() -> None:
    """Rewrite, or with `--check` only complain."""
    found = stale()
    if "--check" in sys.argv:
        for page in found:
            click.echo(f"{page.relative_to(ROOT)}: a table is stale; run `make docs`", err=True)
        sys.exit(bool(found))
    for page in found:
        page.write_text(written(page.read_text()))


if __name__ == "__main__":
    main()
