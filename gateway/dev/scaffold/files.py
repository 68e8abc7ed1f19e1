"""Text of templates, and writing files that do not exist yet."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from gateway.runtime.errors import OperatorError

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


def write(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Write files below a folder, and yield their names. Raises FileExistsError."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
        yield name
