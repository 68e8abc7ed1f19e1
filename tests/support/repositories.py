"""Git repositories that a test makes, and pre-commit in them."""

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def environment(home: Path) -> dict[str, str]:
    """The variables of a user without a git configuration, who has the gateway installed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "GATEWAY_"))}
    names = {f"GIT_{who}_{what}": "ada@example.com" for who in _WHO for what in ("NAME", "EMAIL")}
    return {
        **inherited,
        **names,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(home),
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
    }


_WHO = ("AUTHOR", "COMMITTER")


def commit_all(folder: Path, variables: dict[str, str]) -> str:
    """Make a folder a repository with everything in it committed; the hash of the commit."""
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, env=variables, check=True)
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(
        command, cwd=folder, env=variables, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def pre_commit(folder: Path, variables: dict[str, str], *words: str) -> tuple[int, str]:
    """The exit code and the output of pre-commit."""
    command = [str(BIN / "pre-commit"), *words]
    done = subprocess.run(
        command, cwd=folder, env=variables, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr
