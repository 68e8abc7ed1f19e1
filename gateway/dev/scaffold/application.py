"""`gateway init`: an application folder with one service, which is complete and tested."""

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import orjson

from gateway.dev.scaffold.files import ScaffoldError, text_of, write
from gateway.manifest.rules.editor_schema import editor_schema_of_manifests

MAX_NAMESPACE = 63
_FILES = {
    "routes.yaml": "routes.yaml",
    "schemas/greetings/create.json": "create.json",
    "schemas/greetings/create.returns.json": "create.returns.json",
    "services/greetings.py": "greetings.py",
    "tests/test_greetings_create.py": "test_greetings_create.py",
    "README.md": "README.md",
    "pytest.ini": "pytest.ini",
    ".gitignore": "gitignore",
}
"""The files of an application, with their templates."""


class Made(NamedTuple):
    """The names of the files that were written, and of those that were there already."""

    written: list[str]
    kept: list[str]


def make_application(folder: Path) -> Made:
    """Make a folder an application folder; files that exist are kept.

    Raises ScaffoldError if it is one already.
    """
    for name in ("routes.yaml", "routes"):
        if (folder / name).exists():
            raise ScaffoldError(
                f"{folder / name} exists, so this is an application folder already; "
                "`gateway new service.action` adds a service to it"
            )
    namespace = _namespace(folder)
    texts = {
        name: text_of(f"application/{template}", namespace=namespace)
        for name, template in _FILES.items()
    }
    schema = orjson.dumps(editor_schema_of_manifests(), option=orjson.OPT_INDENT_2)
    texts["routes.schema.json"] = schema.decode() + "\n"
    kept = [name for name in texts if (folder / name).exists()]
    if _has_pytest_options(folder):
        # A pytest.ini would hide them.
        del texts["pytest.ini"]
    new = {name: text for name, text in texts.items() if name not in kept}
    return Made(write(folder, new), kept)


def _has_pytest_options(folder: Path) -> bool:
    file = folder / "pyproject.toml"
    return file.is_file() and "[tool.pytest" in file.read_text(encoding="utf-8")


def _namespace(folder: Path) -> str:
    """The folder's name as a namespace: lower-case words of ASCII letters and digits."""
    plain = unicodedata.normalize("NFKD", folder.resolve().name.casefold())
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode())
    name = "_".join(words)[:MAX_NAMESPACE].rstrip("_")
    return name if name[:1].isalpha() else "application"
