"""Shell completion: what a shell offers, and that it does not wait for the server's modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment, fails
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
        env={**environment(), "HOME": str(home), "PATH": path, "SHELL": "/bin/bash"},
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
    script = bash(home, "gateway --show-completion bash")
    assert bash(home, f"{script}\n{complete}").split() == offered.split()


def test_installed_completion_is_loaded_by_bash(home: Path) -> None:
    changed = [home / ".local" / "share" / "gateway" / "completion.bash", home / ".bashrc"]
    printed = bash(home, "gateway --install-completion").splitlines()
    assert printed[:-1] == [f"changed {path}" for path in changed]
    complete = COMPLETE % ("gateway tok", 1)
    assert bash(home, f"source ~/.bashrc; complete -p gateway; {complete}").splitlines() == [
        "complete -o nosort -F _gateway_completion gateway",
        "token",
    ]


def test_completion_installed_twice_is_loaded_once(home: Path) -> None:
    bash(home, "gateway --install-completion && gateway --install-completion bash")
    assert (home / ".bashrc").read_text().count("source ") == 1


@pytest.mark.parametrize(
    ("shell", "files"),
    [
        ("zsh", [".local/share/gateway/completion.zsh", ".zshrc"]),
        ("fish", [".config/fish/completions/gateway.fish"]),
    ],
)
def test_completion_of_another_shell_is_written_to_its_files(
    home: Path, shell: str, files: list[str]
) -> None:
    bash(home, f"unset ZDOTDIR; gateway --install-completion {shell}")
    written = {path for path in home.rglob("*") if path.is_file()} - {home / "bin" / "gateway"}
    assert written == {home / file for file in files}
    assert f"_GATEWAY_COMPLETE={shell}_complete" in (home / files[0]).read_text()


def test_unknown_shell_is_refused(tmp_path: Path) -> None:
    message = "unknown shell 'tcsh': name one of bash, zsh, fish after the option\n"
    assert fails("--show-completion", cwd=tmp_path, SHELL="/bin/tcsh") == message
    assert fails("--install-completion", "tcsh", cwd=tmp_path) == message


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_imports_nothing_heavy(tmp_path: Path, shell: str) -> None:
    word = {"COMP_CWORD": "tok" if shell == "fish" else "1"}
    line = {"_GATEWAY_COMPLETE": f"{shell}_complete", "COMP_WORDS": "gateway tok", **word}
    imported, printed = imports_of(tmp_path, **line)
    assert "token" in printed
    assert ("revoke" in printed) is (shell != "bash")
    assert imported & HEAVY == set()
