"""The check of a release: what it says of a version, a changelog and the files of a wheel."""

import tomllib

import pytest
import release
from support.harness import ROOT

RELEASED = "# Changelog\n\n## 0.2.0 - 2026-12-31\n\n- This.\n\n## 0.1.0 - 2026-11-30\n\n- That.\n"
UNRELEASED = RELEASED.replace("## 0.2.0", "## Unreleased\n\n- Next.\n\n## 0.2.0")
FIRST = "# Changelog\n\n## Unreleased\n\n- All.\n"


def problems(changelog: str, version: str) -> list[str]:
    return list(release.changelog_problems(changelog, version))


@pytest.mark.parametrize(
    ("changelog", "version"), [(RELEASED, "0.2.0"), (UNRELEASED, "0.2.0"), (FIRST, "0.1.0")]
)
def test_a_version_and_its_changelog_agree(changelog: str, version: str) -> None:
    assert problems(changelog, version) == []


@pytest.mark.parametrize(
    ("changelog", "version", "problem"),
    [
        (RELEASED, "0.3.0", "pyproject.toml has 0.3.0, CHANGELOG.md 0.2.0"),
        (UNRELEASED, "0.1.0", "pyproject.toml has 0.1.0, CHANGELOG.md 0.2.0"),
        (RELEASED.replace("0.1.0 -", "0.1.0,"), "0.2.0", "“## 0.1.0, 2026-11-30” is not"),
        (RELEASED.replace("0.1.0", "0.10.0"), "0.2.0", "0.2.0 stands above 0.10.0"),
        (RELEASED.replace("2026-11", "2027-01"), "0.2.0", "0.2.0 stands above 0.1.0"),
        (RELEASED + "\n## Unreleased\n", "0.2.0", "“## Unreleased” is not"),
        ("# Changelog\n", "0.1.0", "neither “## Unreleased” nor a released version"),
    ],
)
def test_a_disagreement_is_a_problem(changelog: str, version: str, problem: str) -> None:
    [found] = problems(changelog, version)
    assert problem in found


def test_the_repository_has_no_problem() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert problems((ROOT / "CHANGELOG.md").read_text(), project["version"]) == []


def test_a_version_with_unreleased_changes_is_not_tagged() -> None:
    assert release.verdict(RELEASED, "0.2.0") == "ready to be tagged as v0.2.0"
    assert release.verdict(UNRELEASED, "0.2.0").startswith("not to be tagged")


def test_a_file_too_few_and_a_file_too_many_are_problems() -> None:
    assert list(release.content_problems("wheel", {"a", "b"}, {"b", "c"})) == [
        "wheel lacks a",
        "wheel has c",
    ]


def test_a_wheel_holds_its_packages_and_metadata() -> None:
    wheel = {
        "packages": ["gateway"],
        "force-include": {"routes": "gateway/plano/routes"},
        "shared-data": {"share": "share"},
    }
    project = {"tool": {"hatch": {"build": {"targets": {"wheel": wheel}}}}}
    tracked = {"gateway/app.py", "gateways.py", "tests/test_app.py", "README.md", "routes/a.yaml"}
    tracked |= {"share/man/a.1", "shares/b"}
    assert release.wheel_files(tracked, project, "g.dist-info") == {
        "gateway/app.py",
        "gateway/plano/routes/a.yaml",
        "gateway/py.typed",
        "g.data/data/share/man/a.1",
        "g.dist-info/METADATA",
        "g.dist-info/RECORD",
        "g.dist-info/WHEEL",
        "g.dist-info/entry_points.txt",
        "g.dist-info/licenses/LICENSE",
        "g.dist-info/sboms/sbom.cdx.json",
    }
