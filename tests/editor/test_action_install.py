"""The step of the GitHub action that installs the gateway, as it stands."""

import subprocess
from pathlib import Path

from support.github import Job, job_environment, serving_comments
from support.harness import ROOT


def test_action_installs_the_gateway_of_its_own_version(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    with serving_comments() as comments:
        environment = job_environment(comments, Path("/usr/bin"))
        job = Job(ROOT / "deploy" / "github" / "action.yml", folder, environment)
        done = job.run("install")
    assert done.returncode == 0, done.stderr
    [path] = (job.temporary / "github_path").read_text().splitlines()
    command = [f"{path}/gateway", "check", str(ROOT / "routes.yaml")]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert "routes.yaml is valid: " in told.stdout
