"""Renders the Helm chart: for the tests with each of its values files, and for `deploy/kubernetes`.

`python tools/renderings.py HELM` writes the files; HELM is the command.
"""

import subprocess
import sys
from pathlib import Path

import yaml
from helm_chart import CHART, ROOT

RENDERINGS = ROOT / "tests" / "deploy" / "renderings"
KUBERNETES = ROOT / "deploy" / "kubernetes"
NAME = "plano-gateway"
_HEAD = "# Written by `make chart-refresh`: the Helm chart with its values/{name}.\n"


def values_files() -> list[Path]:
    """The values files of the chart."""
    return sorted((CHART / "values").glob("*.yaml"))


def render(helm: str, values: Path, *options: str) -> str:
    """What the chart renders with a values file."""
    command = [helm, "template", NAME, str(CHART), "--namespace", NAME, "--values", str(values)]
    return subprocess.run(
        [*command, *options], stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def renderings(helm: str) -> dict[Path, str]:
    """The files that the chart renders, with the text that they should have."""
    files = {RENDERINGS / values.name: render(helm, values) for values in values_files()}
    rendered = files[RENDERINGS / "cloudnative-pg.yaml"]
    jobs = [part for part in _documents(rendered) if yaml.safe_load(part)["kind"] == "Job"]
    others = [part for part in _documents(rendered) if part not in jobs]
    head = _HEAD.format(name="cloudnative-pg.yaml")
    files[KUBERNETES / "base" / "gateway.yaml"] = head + "---\n".join(["", *others])
    files[KUBERNETES / "migrate" / "job.yaml"] = head + "---\n".join(["", *jobs])
    return files


def _documents(rendered: str) -> list[str]:
    return [part for part in rendered.split("---\n") if part.strip()]


def main() -> None:
    """Write the files."""
    for path, text in renderings(sys.argv[1]).items():
        path.write_text(text)


if __name__ == "__main__":
    main()
