"""Writes `sbom.cdx.json`, the bill of materials of what `gateway serve` installs.

`python tools/sbom.py` makes it from `requirements-serve.lock`, as CycloneDX JSON without times and
random numbers: the same lock gives the same file. The wheel holds it in `.dist-info/sboms/`, where
PEP 770 says that tools look for it.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-serve.lock"
SBOM = ROOT / "sbom.cdx.json"
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?")
_VIA = re.compile(r"    # (?:via|  ) ?(.+)")


class Package(NamedTuple):
    """A pinned package; `via` names what requires it, `marker` where it is installed."""

    name: str
    version: str
    marker: str
    via: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The package URL, by which a bill of materials names a package."""
        return f"pkg:pypi/{self.name.lower().replace('_', '-')}@{self.version}"


def packages(lock: str) -> Iterator[Package]:
    """The packages of a lock file as pip-compile writes it."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        pin = _PIN.match(block)
        if pin:
            via = [name.strip() for name in _VIA.findall(block) if name.strip()]
            by = (name for name in via if not name.startswith("-"))
            yield Package(pin[1], pin[2], pin[3] or "", tuple(by))


def bill(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """The bill of materials, as CycloneDX 1.6 has it."""
    listed = list(packages(lock))
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    needs = [(own, project["name"]), *((package.reference, package.name) for package in listed)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                **_component("application", project["name"], project["version"], own),
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [_library(package) for package in listed],
        "dependencies": [
            {
                "ref": reference,
                "dependsOn": [each.reference for each in listed if _requires(name, each)],
            }
            for reference, name in needs
        ],
    }


def _requires(name: str, package: Package) -> bool:
    return any(by.partition(" ")[0].partition("[")[0] == name for by in package.via)


def _component(kind: str, name: str, version: str, reference: str) -> dict[str, Any]:
    return {
        "type": kind,
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
    }


def _library(package: Package) -> dict[str, Any]:
    component = _component("library", package.name, package.version, package.reference)
    if package.marker:
        component["properties"] = [{"name": "python:marker", "value": package.marker}]
    return component


def text() -> str:
    """What the file has to hold."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return json.dumps(bill(LOCK.read_text(), project), indent=2) + "\n"


if __name__ == "__main__":
    SBOM.write_text(text())
