"""The scripts that find the interpreters which the tests run on."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKS = "#!/bin/sh\necho {answer}\n"
FAILS = "#!/bin/sh\necho 'this version is not selected' >&2\nexit 127\n"
VERSIONS = ["3.11", "3.12", "3.13"]


class Machine:
    """A machine whose interpreters are scripts: each prints its answer, or fails as pyenv does."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bin"
        self._pyenv = folder / "pyenv"
        self._path.mkdir()
        for version in VERSIONS:
            self._write(self._path / f"python{version}", FAILS)
        self._write(self._path / "python3", FAILS)

    def on_path(self, name: str, answer: str) -> None:
        self._write(self._path / name, WORKS.format(answer=answer))

    def in_pyenv(self, version: str, name: str, answer: str) -> None:
        folder = self._pyenv / "versions" / version / "bin"
        folder.mkdir(parents=True)
        self._write(folder / name, WORKS.format(answer=answer))

    def run(self, *command: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [ROOT / "tools" / command[0], *command[1:]],
            env={"PATH": f"{self._path}:{os.environ['PATH']}", "PYENV_ROOT": str(self._pyenv)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    @staticmethod
    def _write(file: Path, text: str) -> None:
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_interpreter_on_path_is_found(machine: Machine) -> None:
    machine.on_path("python3.12", "/usr/bin/python3.12")
    assert machine.run("find-python", "python3.12") == (0, ["/usr/bin/python3.12"])


def test_an_interpreter_that_pyenv_has_not_selected_is_found(machine: Machine) -> None:
    machine.in_pyenv("3.12.1", "python3.12", "/pyenv/python3.12")
    assert machine.run("find-python", "python3.12") == (0, ["/pyenv/python3.12"])


def test_an_absent_interpreter_is_not_found(machine: Machine) -> None:
    assert machine.run("find-python", "python3.12") == (1, [])


def test_a_command_runs_on_every_version_and_absent_ones_are_reported(machine: Machine) -> None:
    machine.on_path("python3", "3.11")
    machine.in_pyenv("3.13.0", "python3.13", "/pyenv/python3.13")
    assert machine.run("on-each-python", "echo", "make") == (
        0,
        [
            "Python 3.11: python3, the default",
            "Python 3.12: not on this machine",
            "Python 3.13: /pyenv/python3.13",
            "== python3",
            "make PYTHON=python3",
            "== python3.13",
            "make PYTHON=python3.13",
        ],
    )


def test_others_leaves_out_the_default_version(machine: Machine) -> None:
    machine.on_path("python3", "3.12")
    machine.on_path("python3.13", "/usr/bin/python3.13")
    code, lines = machine.run("on-each-python", "--others", "echo")
    assert code == 0
    assert [line for line in lines if line.startswith("PYTHON=")] == ["PYTHON=python3.13"]


def test_newest_leaves_only_the_newest_of_the_others(machine: Machine) -> None:
    machine.on_path("python3", "3.11")
    for version in ("3.12", "3.13"):
        machine.on_path(f"python{version}", f"/usr/bin/python{version}")
    _, lines = machine.run("on-each-python", "--newest", "echo")
    assert [line for line in lines if line.startswith("PYTHON=")] == ["PYTHON=python3.13"]


def test_the_first_failure_ends_the_run(machine: Machine) -> None:
    machine.on_path("python3", "3.11")
    machine.on_path("python3.12", "/usr/bin/python3.12")
    code, lines = machine.run("on-each-python", "false")
    assert (code, lines[-1]) == (1, "== python3")


def test_a_machine_without_any_version_fails(machine: Machine) -> None:
    assert machine.run("on-each-python", "echo")[0] == 1
    assert machine.run("on-each-python", "--others", "echo")[0] == 0


def test_the_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    script = re.search(r"for version in (.*);", (ROOT / "tools" / "on-each-python").read_text())
    assert script
    assert named == script[1].split() == VERSIONS
    assert project["requires-python"] == f">={VERSIONS[0]}"
