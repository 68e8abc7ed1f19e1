"""The hook that this repository offers, run by pre-commit in the repository of an application."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.harness import ROOT
from support.repositories import BIN, commit_all, environment, pre_commit

HOOKS = ROOT / ".pre-commit-hooks.yaml"
MANIFEST = """\
version: 1
namespace: shop
services:
  orders: {kind: python, deployed: true, title: Orders}
routes:
  orders.create: {method: POST, deployed: true, title: Create, auth: [session]}
"""
# The gateway of this environment is used: `make test-editor` lets pre-commit install its own.
CONFIGURATION = """\
repos:
  - repo: {repository}
    rev: {revision}
    hooks: [{{id: gateway-check, language: system}}]
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.fixture
def application(tmp_path: Path, variables: dict[str, str]) -> Path:
    """The repository of an application that uses the hook."""
    hooks, folder = tmp_path / "hooks", tmp_path / "application"
    hooks.mkdir()
    (folder / "schemas" / "orders").mkdir(parents=True)
    shutil.copy(HOOKS, hooks)
    text = CONFIGURATION.format(repository=hooks, revision=commit_all(hooks, variables))
    (folder / ".pre-commit-config.yaml").write_text(text)
    (folder / "routes.yaml").write_text(MANIFEST)
    (folder / "schemas" / "orders" / "create.json").write_text("{}")
    (folder / "README.md").write_text("An application.\n")
    commit_all(folder, variables)
    return folder


def test_hooks_file_is_valid() -> None:
    subprocess.run([BIN / "pre-commit", "validate-manifest", HOOKS], check=True)


def test_hook_accepts_a_valid_manifest(application: Path, variables: dict[str, str]) -> None:
    code, output = pre_commit(application, variables, "run", "--all-files")
    assert (code, output.splitlines()[-1].endswith("Passed")) == (0, True), output


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("routes.yaml", MANIFEST.replace("POST", "POKE"), "routes.yaml:6: routes: orders.create"),
        ("schemas/orders/create.json", '{"typ": 1}', "unknown keyword typ (did you mean type?)"),
    ],
)
def test_hook_refuses_a_broken_manifest_or_schema(
    application: Path, variables: dict[str, str], file: str, text: str, message: str
) -> None:
    (application / file).write_text(text)
    code, output = pre_commit(application, variables, "run", "--files", file)
    assert code == 1
    assert message in output


def test_hook_is_skipped_for_other_files(application: Path, variables: dict[str, str]) -> None:
    (application / "routes.yaml").write_text("broken")
    code, output = pre_commit(application, variables, "run", "--files", "README.md")
    assert (code, "(no files to check)Skipped" in output) == (0, True), output
