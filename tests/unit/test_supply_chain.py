"""What is installed: by hash, listed in the wheel, and looked up for known vulnerabilities."""

import json
import re
import tomllib
from typing import Any

import audit
import pytest
import sbom
from support.harness import ROOT

LOCKS = sorted(ROOT.glob("requirements*.lock"))
PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_has_a_hash_of_every_package_and_names_no_host(lock: Any) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert blocks
    for block in blocks:
        assert PIN.match(block)
        assert "--hash=sha256:" in block
    assert "//" not in text


def test_locks_of_building_and_of_serving_have_the_versions_that_are_tested() -> None:
    tested = pins("requirements.lock")
    serving = pins("requirements-serve.lock")
    assert serving.items() <= tested.items()
    assert "pytest" not in serving
    with_otel = pins("requirements-otel.lock")
    assert serving.items() < with_otel.items() <= tested.items()
    assert "opentelemetry-sdk" not in serving
    building = pins("requirements-build.lock")
    assert building["hatchling"] == tested["hatchling"]


def test_sbom_is_up_to_date() -> None:
    assert sbom.SBOM.read_text() == sbom.text(), "run `python tools/sbom.py`"


def test_sbom_has_every_package_that_serving_installs_and_who_requires_it() -> None:
    bill = json.loads(sbom.text())
    components = {each["name"]: each["version"] for each in bill["components"]}
    assert components == pins("requirements-serve.lock")
    graph = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    direct = graph[f"pkg:pypi/plano-gateway@{version}"]
    assert f"pkg:pypi/starlette@{components['starlette']}" in direct
    requests = graph[f"pkg:pypi/requests@{components['requests']}"]
    assert f"pkg:pypi/urllib3@{components['urllib3']}" in requests
    assert f"pkg:pypi/starlette@{components['starlette']}" not in requests
    # Nothing is listed that nothing requires.
    assert {ref for refs in graph.values() for ref in refs} == {
        each["bom-ref"] for each in bill["components"]
    }


VULNERABLE = {
    "name": "requests",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}],
}
CLEAN = {"name": "rich", "version": "1.0", "vulns": []}
UNREAD = {"name": "orjson", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("dependencies", "accepted", "found"),
    [
        ([CLEAN], {}, []),
        ([CLEAN, VULNERABLE], {}, ["requests 2.0 has PYSEC-1; fixed in 2.1"]),
        ([VULNERABLE], {"CVE-1": "not reached"}, []),
        ([VULNERABLE], {"CVE-2": "another one"}, ["requests 2.0 has PYSEC-1; fixed in 2.1"]),
    ],
)
def test_audit_names_what_is_not_accepted(
    dependencies: list[dict[str, Any]], accepted: dict[str, str], found: list[str]
) -> None:
    assert list(audit.problems({"dependencies": dependencies}, accepted)) == found


def test_audit_without_advisories_is_not_clean() -> None:
    [problem] = audit.problems({"dependencies": [CLEAN, UNREAD]}, {})
    assert problem.startswith("the advisories of 1 of 2 packages cannot be read from here")


def test_audit_accepts_nothing_without_a_reason() -> None:
    assert audit.accepted("# a comment\n\nCVE-1  # not reached\n") == {"CVE-1": "not reached"}
    with pytest.raises(ValueError, match="'CVE-1' is not `ADVISORY  # reason`"):
        audit.accepted("CVE-1")
    audit.accepted(audit.ACCEPTED.read_text())


def test_image_installs_only_what_has_a_hash_or_was_built_here() -> None:
    script = re.sub(r"\\\n\s*", "", (ROOT / "deploy" / "Dockerfile").read_text())
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&\n]*", script)
    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes" in install or "--no-deps" in install
    assert all("--no-build-isolation" in each for each in installs if "pip wheel" in each)
