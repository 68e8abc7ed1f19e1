"""Read `routes.yaml`: a file, or a folder of files, of one or more YAML documents.

Booleans are YAML 1.2's (`off` is text, not false), a duplicate key is an error, and the line of
every value is known.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from gateway.manifest.source import fast_yaml, syntax
from gateway.manifest.source import files as manifest_files
from gateway.manifest.source.diagnostic import Diagnostic, ManifestError, YamlPath, as_text
from gateway.manifest.source.nodes import RESOLVERS, NodeChecker

__all__ = ["RESOLVERS", "Diagnostic", "Document", "ManifestError", "YamlPath", "files", "read"]


class Document:
    """One YAML document; `index` is its position in the text of its file."""

    def __init__(self, file: str, data: Any, text: str, index: int) -> None:  # noqa: ANN401
        self.file = file
        self.data = data
        self._text = text
        self._index = index

    @cached_property
    def lines(self) -> dict[YamlPath, int]:
        """The line of each YAML path. Computed only when there is an error to report."""
        loader = _Loader(self._text)
        try:
            node = next(islice(_nodes(loader), self._index, None))
            return NodeChecker(self.file, node).lines
        finally:
            loader.dispose()

    def diagnostic(self, path: YamlPath, message: str) -> Diagnostic:
        """An error at a path, with the line of the longest prefix that the document has."""
        prefix = path
        while prefix and prefix not in self.lines:
            prefix = prefix[:-1]
        line = self.lines.get(prefix, 0)
        return Diagnostic(file=self.file, line=line, path=as_text(path), message=message)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's loader where it is installed: about eight times as fast."""


_Loader.yaml_implicit_resolvers = RESOLVERS


def files(path: Path) -> list[Path]:
    """The files of a manifest, sorted by name."""
    if path.is_dir():
        return sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return [path]


PINNED = b'{"format":'
"""How a pinned plan begins, which `plan.to_file` writes."""


def read(path: Path) -> list[Document]:
    """Read all documents of a file, of a folder, or of standard input as `-`.

    Raises ManifestError.
    """
    diagnostics: list[Diagnostic] = []
    documents: list[Document] = []
    found = files(path)
    if not found:
        message = "the folder has no .yaml or .yml file"
        diagnostics.append(Diagnostic(file=str(path), message=message))
    for file in found:
        documents += _file(file, diagnostics)
    if diagnostics:
        raise ManifestError(diagnostics)
    return documents


def _refuse_plan(name: str, content: bytes) -> None:
    if content.startswith(PINNED):
        message = f"is a pinned plan, not a manifest; run `gateway apply {name}`"
        raise manifest_files.UnreadableError(message)


def name_of(path: Path) -> str:
    """A manifest's name in messages."""
    return "standard input" if path == manifest_files.STANDARD_INPUT else str(path)


def _file(file: Path, diagnostics: list[Diagnostic]) -> list[Document]:
    """The documents of a file; its errors are added to `diagnostics`."""
    is_input = file == manifest_files.STANDARD_INPUT
    name = name_of(file)
    limit = manifest_files.MAX_MANIFEST
    try:
        if is_input:
            content = manifest_files.read_standard_input(limit)
        else:
            content = manifest_files.read_bytes(file, limit)
        _refuse_plan(name, content)
        return _read_text(name, content.decode(), diagnostics)
    except manifest_files.UnreadableError as error:
        diagnostics.append(Diagnostic(file=name, message=str(error)))
    except UnicodeDecodeError as error:
        diagnostics.append(_not_utf_8(name, error))
    return []


def _read_text(file: str, text: str, diagnostics: list[Diagnostic]) -> list[Document]:
    try:
        documents = list(_documents(file, text, diagnostics))
    except yaml.YAMLError as error:
        position, message = syntax.describe(text, error, lambda: _Loader(text))
        diagnostics.append(
            Diagnostic(file=file, **position._asdict(), message=f"is not valid YAML: {message}")
        )
        return []
    if not documents and not diagnostics:
        message = "the file is empty, or has only comments; it may have been cut short"
        diagnostics.append(Diagnostic(file=file, message=message))
    for document in documents:
        if document.data is None:
            message = "the document is empty; remove its `---`, or write the manifest below it"
            diagnostics.append(document.diagnostic((), message))
    return documents


def _not_utf_8(file: str, error: UnicodeDecodeError) -> Diagnostic:
    before: bytes = error.object[: error.start]
    return Diagnostic(
        file=file,
        line=before.count(b"\n") + 1,
        column=len(before) - (before.rfind(b"\n") + 1) + 1,
        message=f"is not valid UTF-8: the byte 0x{error.object[error.start]:02x}; "
        "save the file as UTF-8",
    )


def _documents(file: str, text: str, diagnostics: list[Diagnostic]) -> Iterator[Document]:
    try:
        values = list(fast_yaml.documents(_Loader(text), RESOLVERS))
    except (fast_yaml.NotPlainError, yaml.YAMLError):
        yield from _checked_documents(file, text, diagnostics)
        return
    for index, data in enumerate(values):
        yield Document(file=file, data=data, text=text, index=index)


def _checked_documents(file: str, text: str, diagnostics: list[Diagnostic]) -> Iterator[Document]:
    """The valid documents of a file; the errors of the others are added to `diagnostics`."""
    loader = _Loader(text)
    try:
        for index, node in enumerate(_nodes(loader)):
            checker = NodeChecker(file, node)
            diagnostics += checker.diagnostics
            if not checker.diagnostics:
                data = loader.construct_document(node)
                yield Document(file=file, data=data, text=text, index=index)
    except RecursionError:
        diagnostics.append(Diagnostic(file=file, message="is nested too deeply"))
    finally:
        loader.dispose()


def _nodes(loader: Any) -> Iterator[yaml.Node]:  # noqa: ANN401 - libyaml's loader has no type
    while loader.check_node():
        yield loader.get_node()
