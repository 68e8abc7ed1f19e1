"""The hook as an application's repository uses it: pre-commit installs the gateway by itself."""

from pathlib import Path

from support.harness import ROOT
from support.repositories import commit_all, environment, pre_commit


def test_pre_commit_installs_the_gateway_and_runs_the_hook(tmp_path: Path) -> None:
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "routes.yaml").write_text("version: 1\nnamespace: shop\n")
    # No gateway is on this path but the one that pre-commit installs.
    variables = {**environment(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    commit_all(folder, variables)
    code, output = pre_commit(
        folder, variables, "try-repo", str(ROOT), "gateway-check", "--all-files"
    )
    assert code == 1
    assert "routes.yaml:1: the key services is missing; write a mapping" in output, output
