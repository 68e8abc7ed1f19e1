"""`gateway new`: an action of a service, with its schemas, its route and its test."""

import ast
import keyword
import re
import symtable
from pathlib import Path
from typing import NamedTuple

import yaml

from gateway.dev.scaffold.files import ScaffoldError, text_of, write
from gateway.dev.scaffold.manifest_text import with_entry
from gateway.manifest.check import check, schema_folder
from gateway.manifest.source.read import files, read
from gateway.runtime.app_folder import AppFolder

_NAME = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)", re.ASCII)
_IMPORTED = ("Call", "Reply")
MAX_WORD = 63
"""Letters of a service or an action, as in the manifest."""


class Names(NamedTuple):
    """The names of an action, in code and in titles."""

    name: str
    service: str
    action: str
    title: str
    action_title: str

    @classmethod
    def parse(cls, name: str) -> "Names":
        """The names of `service.action`. Raises ScaffoldError."""
        found = _NAME.fullmatch(name)
        if found is None or keyword.iskeyword(found[2]) or keyword.iskeyword(found[1]):
            raise ScaffoldError(
                f"{name!r} is not the name of an action: write `service.action` with lower-case "
                "letters, digits and underscores, such as parcels.create"
            )
        service, action = found.groups()
        if max(len(service), len(action)) > MAX_WORD:
            raise ScaffoldError(f"a name of more than {MAX_WORD} letters is too long")
        for word in (service, action):
            if not isinstance(yaml.safe_load(word), str):
                raise ScaffoldError(f"YAML does not read {word} as text: choose another name")
        return cls(name, service, action, _title(service), _title(action))


def _title(name: str) -> str:
    return " ".join(word.capitalize() for word in name.split("_") if word)


def add_action(app: AppFolder, name: str) -> list[str]:
    """Add an action to an application folder; return the names of the files it wrote or changed.

    Raises ScaffoldError, and writes nothing, if the action or one of its files exists; and
    ManifestError if the manifest is invalid.
    """
    names = Names.parse(name)
    desired = check(app.manifest)
    if any(name in state.routes for state in desired):
        raise ScaffoldError(f"{app.manifest} has the route {name} already")
    is_known = any(names.service in state.services for state in desired)
    new = _new_files(app, names)
    for path in map(app.path.joinpath, new):
        if path.exists():
            raise ScaffoldError(f"{path} exists already; nothing was written")
    changed = {**_module(app, names), **_manifest(app, names, is_known=is_known)}
    written = write(app.path, new, changed)
    check(app.manifest)
    return [*written, *(str(file.relative_to(app.path)) for file in changed)]


def _new_files(app: AppFolder, names: Names) -> dict[str, str]:
    schemas = schema_folder(app.manifest).relative_to(app.path.resolve())
    values = names._asdict()
    return {
        f"{schemas}/{names.service}/{names.action}.json": text_of("action/params.json", **values),
        f"{schemas}/{names.service}/{names.action}.returns.json": text_of(
            "action/returns.json", **values
        ),
        f"tests/test_{names.service}_{names.action}.py": text_of("action/test.py", **values),
    }


def _module(app: AppFolder, names: Names) -> dict[Path, str]:
    """The module of the service, with the action at its end."""
    folder = app.path / "services"
    file = folder / f"{names.service}.py"
    if (folder / names.service).is_dir():
        raise ScaffoldError(f"{folder / names.service} is a package; add the action by hand")
    values = names._asdict()
    action = text_of("action/action.py", **values)
    if not file.exists():
        return {file: f"{text_of('action/service.py', **values)}\n\n{action}"}
    try:
        text = file.read_text(encoding="utf-8")
        tree, defined = ast.parse(text), _defined(text)
    except SyntaxError as error:
        raise ScaffoldError(f"{file}:{error.lineno}: {error.msg}; nothing was written") from error
    except ValueError as error:
        raise ScaffoldError(f"{file} is not a module in UTF-8; nothing was written") from error
    if names.action in defined:
        raise ScaffoldError(f"{file} has {names.action} already; nothing was written")
    return {file: f"{_with_imports(text, tree, defined).rstrip()}\n\n\n{action}"}


def _defined(text: str) -> set[str]:
    """The names that a module gives a value, wherever at its top: also in `if` and `try`."""
    symbols = symtable.symtable(text, "<module>", "exec").get_symbols()
    return {
        symbol.get_name()
        for symbol in symbols
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }


def _with_imports(text: str, tree: ast.Module, defined: set[str]) -> str:
    """The text of a module that imports what an action needs."""
    missing = [name for name in _IMPORTED if name not in defined]
    if not missing:
        return text
    # Not `splitlines`, which knows more ends of lines than Python's parser.
    lines = text.split("\n")
    head = 0
    for node in tree.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (is_docstring or is_future):
            break
        head = node.end_lineno or head
    added = f"from gateway import {', '.join(missing)}"
    return "\n".join([*lines[:head], *([""] if head else []), added, *lines[head:]])


def _manifest(app: AppFolder, names: Names, *, is_known: bool) -> dict[Path, str]:
    """The manifest's file with the route, and with the service unless it has that."""
    found = files(app.manifest)
    file = next((each for each in found if _has_service(each, names.service)), found[0])
    text = file.read_text(encoding="utf-8")
    values = names._asdict()
    first, *others = read(file)
    if is_known and others and names.service not in first.data.get("services", {}):
        route = text_of("action/route.yaml", **values)
        raise ScaffoldError(f"the service is not in the first document; add by hand:\n{route}")
    if not is_known:
        text = with_entry(text, "services", text_of("action/service.yaml", **values))
    return {file: with_entry(text, "routes", text_of("action/route.yaml", **values))}


def _has_service(file: Path, service: str) -> bool:
    return any(service in (document.data.get("services") or {}) for document in read(file))
