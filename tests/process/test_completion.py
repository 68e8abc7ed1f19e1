"""Shell completion: what a shell offers, and that it does not wait for the server's modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment
from support.imports import HEAVY, imports_of

COMPLETE = "COMP_WORDS=(%s); COMP_CWORD=%d; _gateway_completion gateway; echo ${COMPREPLY[@]}"
"""What bash does at a tab, as its manual says, and printed."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with the command in `bin`."""
    command = tmp_path / "bin" / "gateway"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom gateway.cli.main import main\nmain()\n")
    command.chmod(0o755)
    return tmp_path


def bash(home: Path, script: str) -> str:
    """What a bash in this home folder prints."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=home,
        env={**environment(), "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gateway tok", "token"),
        ("gateway ro", "rollback routes"),
        ("gateway re", ""),
        ("gateway token re", "revoke"),
        ("gateway outbox ", "list show retry discard"),
        ("gateway apply --wa", "--wait"),
        ("gateway --ver", "--version"),
    ],
)
def test_bash_completion_offers_verbs_and_options(home: Path, line: str, offered: str) -> None:
    words = line.split(" ")
    complete = COMPLETE % (" ".join(word or "''" for word in words), len(words) - 1)
    script = bash(home, "gateway --show-completion; true")
    assert bash(home, f"{script}\n{complete}").split() == offered.split()


def test_installed_completion_is_loaded_by_bash(home: Path) -> None:
    assert "bash completion installed" in bash(home, "gateway --install-completion; true")
    complete = COMPLETE % ("gateway tok", 1)
    assert bash(home, f"source ~/.bashrc; complete -p gateway; {complete}").splitlines() == [
        "complete -o default -F _gateway_completion gateway",
        "token",
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_imports_nothing_heavy(tmp_path: Path, shell: str) -> None:
    line = {
        "_GATEWAY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "gateway tok",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "gateway tok",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    imported, printed = imports_of(tmp_path, **line)
    assert "token" in printed
    assert ("revoke" in printed) is (shell != "bash")
    assert imported & HEAVY == set()
