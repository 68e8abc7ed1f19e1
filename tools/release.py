"""Builds the wheel and the sdist, and checks that they are fit to be released.

`python tools/release.py` writes them to `dist/` and exits 1 with a list of problems if the
version and `CHANGELOG.md` disagree, if a distribution lacks a file of the repository or has
another one, or if the gateway in the wheel does not run.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_RELEASED = re.compile(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)")


class Release(NamedTuple):
    """A released heading of the changelog, such as `## 1.2.3 - 2026-12-31`."""

    version: tuple[int, ...]
    date: str


def changelog_problems(changelog: str, version: str) -> Iterator[str]:
    """What is wrong with the headings of a changelog for a project that has this version."""
    headings = _HEADING.findall(changelog)
    unreleased = headings[:1] == [UNRELEASED]
    released = []
    for heading in headings[unreleased:]:
        if found := _RELEASED.fullmatch(heading):
            released.append(Release(tuple(map(int, found.groups()[:3])), found[4]))
        else:
            yield f"CHANGELOG.md: “## {heading}” is not “## X.Y.Z - YYYY-MM-DD”"
    for newer, older in pairwise(released):
        if newer.version <= older.version or newer.date < older.date:
            yield f"CHANGELOG.md: {_text(newer.version)} stands above {_text(older.version)}"
    if released and _text(released[0].version) != version:
        yield f"pyproject.toml has {version}, CHANGELOG.md {_text(released[0].version)}"
    if not headings:
        yield f"CHANGELOG.md has neither “## {UNRELEASED}” nor a released version"


def verdict(changelog: str, version: str) -> str:
    """Whether this version can be tagged; for a changelog without problems."""
    if _HEADING.findall(changelog)[0] == UNRELEASED:
        return f"not to be tagged: CHANGELOG.md begins with “## {UNRELEASED}”"
    return f"ready to be tagged as v{version}"


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def content_problems(name: str, expected: set[str], found: set[str]) -> Iterator[str]:
    """The files that a distribution lacks, and those that it has beside the expected ones."""
    yield from (f"{name} lacks {file}" for file in sorted(expected - found))
    yield from (f"{name} has {file}" for file in sorted(found - expected))


def wheel_files(tracked: set[str], project: dict[str, Any], info: str) -> set[str]:
    """What a wheel has to hold: the tracked files of its packages, moved, and its metadata."""
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = {**{name: name for name in wheel["packages"]}, **wheel["force-include"]}
    code = {
        inside + file.removeprefix(source)
        for source, inside in places.items()
        for file in tracked
        if file == source or file.startswith(f"{source}/")
    }
    data = f"{info.removesuffix('.dist-info')}.data/data"
    shared = {
        f"{data}/{inside}{file.removeprefix(source)}"
        for source, inside in wheel.get("shared-data", {}).items()
        for file in tracked
        if file.startswith(f"{source}/")
    }
    metadata = (
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "sboms/sbom.cdx.json",
    )
    return code | shared | {f"{info}/{name}" for name in metadata} | {"gateway/py.typed"}


def _built(name: str, version: str, tracked: set[str], project: dict[str, Any]) -> Iterator[str]:
    """The problems of the two distributions."""
    base = f"{name.replace('-', '_')}-{version}"
    wheel, sdist = DIST / f"{base}-py3-none-any.whl", DIST / f"{base}.tar.gz"
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
        yield from content_problems(
            wheel.name, wheel_files(tracked, project, f"{base}.dist-info"), found
        )
    with tarfile.open(sdist) as source:
        found = {member.name.removeprefix(f"{base}/") for member in source if member.isfile()}
        yield from content_problems(sdist.name, tracked | {"PKG-INFO"}, found)
    with tempfile.TemporaryDirectory() as folder:
        _run("-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, str(wheel))
        # The folder comes before the installed packages, so this is the gateway of the wheel.
        told = _run("-m", "gateway", "--version", cwd=folder, PYTHONPATH=folder).strip()
        if told != f"{name} {version}":
            yield f"the gateway of {wheel.name} calls itself {told}"


def _run(*words: str, cwd: Path | str = ROOT, **variables: str) -> str:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def main() -> None:
    """Build, check and say whether this can be tagged."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    name, version = project["project"]["name"], project["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    shutil.rmtree(DIST, ignore_errors=True)
    _run("-m", "build", "--no-isolation", "--outdir", str(DIST))
    problems = [
        *changelog_problems(changelog, version),
        *_built(name, version, set(listed.stdout.splitlines()), project),
    ]
    print(*(f"{each.name}  {each.stat().st_size:,} bytes" for each in DIST.iterdir()), sep="\n")
    if problems:
        sys.exit("\n".join(problems))
    print(verdict(changelog, version))


if __name__ == "__main__":
    main()
