"""Pinned plans: a file that holds a plan, to be reviewed and then applied as it is."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from gateway.manifest.check import Desired
from gateway.manifest.plan import Base, Plan, from_file, to_file
from gateway.manifest.source import files
from gateway.manifest.source.read import Diagnostic, ManifestError
from gateway.runtime.errors import OperatorError

SUFFIX = ".json"
"""How the name of a pinned plan ends, which tells it from a manifest."""


class OutputError(OperatorError):
    """The file of a pinned plan cannot be written."""


def is_pinned(path: Path) -> bool:
    """Whether a path names a pinned plan, and not a manifest."""
    return path.suffix == SUFFIX


def write(path: Path, plans: Sequence[Plan], desired: Sequence[Desired], *, prune: bool) -> None:
    """Pin plans in a file. Raises OutputError."""
    if not is_pinned(path):
        raise OutputError(f"{path}: the file of a pinned plan must end in {SUFFIX}")
    try:
        path.write_bytes(orjson.dumps(to_file(list(plans), list(desired), prune=prune)))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path) -> tuple[list[Desired], dict[str, Base], bool]:
    """What a pinned plan brings about, the bases it needs, and whether it prunes.

    Raises ManifestError.
    """
    try:
        return from_file(orjson.loads(files.read_bytes(path, files.MAX_PLAN)))
    except files.UnreadableError as error:
        message = str(error)
    except orjson.JSONDecodeError:
        message = "is not valid JSON, so not a pinned plan; it may have been cut short"
    except ValueError as error:
        message = str(error)
    raise ManifestError([Diagnostic(file=str(path), message=message)])
