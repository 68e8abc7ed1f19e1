"""Text of templates, and writing files that do not exist yet."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType

from gateway.runtime.errors import OperatorError

_NONE: Mapping[Path, str] = MappingProxyType({})
_TEMPLATES = Path(__file__).with_name("templates")


class ScaffoldError(OperatorError):
    """The files cannot be made, and none was written; the text says why."""


class _Text(Template):
    """A template with `%{name}`: JSON and shell have dollar signs of their own."""

    delimiter = "%"


def text_of(template: str, **values: str) -> str:
    """The text of a template, such as `action/test.py`, with these values."""
    text = (_TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
    return _Text(text).substitute(values)


def write(folder: Path, new: Mapping[str, str], changed: Mapping[Path, str] = _NONE) -> list[str]:
    """Write new files below a folder, and change others; return the names of the new ones.

    Raises ScaffoldError, and then leaves every file as it was.
    """
    before = {file: file.read_bytes() for file in changed if file.exists()}
    made: list[Path] = []
    try:
        for name, text in new.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as opened:
                made.append(file)
                opened.write(text)
        for file, text in changed.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            is_windows = b"\r\n" in before.get(file, b"")
            file.write_text(text, encoding="utf-8", newline="\r\n" if is_windows else "\n")
    except OSError as error:
        _undo(made, changed, before)
        raise ScaffoldError(f"{error.filename}: {error.strerror}; nothing was written") from error
    return [*new]


def _undo(made: Iterable[Path], changed: Iterable[Path], before: Mapping[Path, bytes]) -> None:
    # What could not be written may refuse this too; the error to report is the first one.
    with contextlib.suppress(OSError):
        for file in made:
            file.unlink()
        for file in changed:
            if file in before:
                file.write_bytes(before[file])
            else:
                file.unlink(missing_ok=True)
