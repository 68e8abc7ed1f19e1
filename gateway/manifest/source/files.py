"""Read the files of a manifest: only regular files, up to a size limit.

A device or a pipe could be read without end, so only a regular file is opened for reading.
"""

import os
import stat
import sys
from pathlib import Path

MAX_MANIFEST = 256 * 1024 * 1024
"""Bytes. A manifest of 100,000 routes has about 30 MB, and its dump, with all schemas, more."""

MAX_SCHEMA = 1024 * 1024
MAX_PLAN = 1024 * 1024 * 1024
"""Bytes. A pinned plan holds the complete schema of each route."""

STANDARD_INPUT = Path("-")
"""What a command takes in place of a file."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class UnreadableError(Exception):
    """A file cannot be read; the text says why."""


def read_bytes(file: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises UnreadableError."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        # Its text differs among Python's versions, but this is its only cause.
        raise UnreadableError("cannot be read: its name contains a NUL character") from error
    try:
        status = os.fstat(descriptor)
        _refuse_special(status.st_mode)
        content = os.read(descriptor, min(status.st_size, limit) + 1)
        while len(content) <= limit and (more := os.read(descriptor, limit)):
            content += more
        return _bounded(content, limit)
    finally:
        os.close(descriptor)


def read_standard_input(limit: int) -> bytes:
    """All of standard input, at most `limit` bytes. Raises UnreadableError."""
    return _bounded(sys.stdin.buffer.read(limit + 1), limit)


def refuse_outside(file: Path, folder: str) -> None:
    """Refuse a file that is outside the folder, also after symbolic links are followed.

    `folder` is a path without links. Raises UnreadableError.
    """
    name = str(file)
    if "\0" not in name and not os.path.realpath(name).startswith(f"{folder.rstrip('/')}/"):
        raise UnreadableError(
            "is outside the folder of the manifest; name a file in that folder, "
            "such as schemas/<service>/<action>.json"
        )


def _refuse_special(mode: int) -> None:
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise UnreadableError(f"cannot be read: it is {name}, not a file")


def _bounded(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise UnreadableError(f"is too large: at most {limit // 1024**2} MiB are read")
    return content
