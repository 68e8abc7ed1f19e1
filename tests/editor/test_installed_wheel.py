"""The man pages and completions of an installed wheel, found by man and bash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.harness import ROOT

NAMES = ("gateway", "gateway-plan", "gateway-token-create")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, without what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    return folder / "venv"


def output(installed: Path, *command: str) -> str:
    path = os.pathsep.join([str(installed / "bin"), os.environ["PATH"]])
    variables = {**os.environ, "PATH": path, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"}
    variables.pop("MANPATH", None)
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_man_finds_the_page_of_a_command(installed: Path, name: str) -> None:
    assert output(installed, "man", "--where", name).startswith(str(installed / "share" / "man"))
    text = " ".join(output(installed, "man", "--pager=cat", name).split())
    assert f"{name} - " in text
    assert "EXIT STATUS" in text


def test_man_has_nothing_to_warn_of(installed: Path) -> None:
    for page in (installed / "share" / "man" / "man1").iterdir():
        done = subprocess.run(
            ["man", "--warnings", "--local-file", "--pager=cat", page],
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == "", page.name


def test_bash_completes_with_the_installed_script(installed: Path) -> None:
    script = installed / "share" / "bash-completion" / "completions" / "gateway"
    # The script asks the command itself, which here is that of the tests' environment.
    command = Path(sys.executable).parent / "gateway"
    complete = "COMP_WORDS=(gateway tok); COMP_CWORD=1; _gateway_completion"
    shell = f"source {script}; {complete} {command}; echo ${{COMPREPLY[@]}}"
    assert output(installed, "bash", "--noprofile", "--norc", "-c", shell).split() == ["token"]


def test_schemas_for_editors_are_in_the_wheel(installed: Path) -> None:
    found = {file.name for file in installed.rglob("*.schema.json")}
    assert found == {"routes.schema.json", "params.schema.json"}
