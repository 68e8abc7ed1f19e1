"""Read `routes.yaml`: a file, or a folder of files, of one or more YAML documents.

Booleans are YAML 1.2's (`off` is text, not false), a duplicate key is an error, and the line of
every value is known.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from gateway.manifest import fast_yaml
from gateway.runtime.errors import OperatorError

YamlPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value in a document: `("routes", "order_stages.create", "method")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One error of a manifest. `message` says what is wrong and what would be allowed.

    `line` counts from 1 and is 0 where the error has no line. `path` is the YAML path as text,
    empty for an error of the whole file.
    """

    file: str
    line: int = 0
    path: str = ""
    message: str

    def __str__(self) -> str:
        location = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return location + (f"{self.path}: " if self.path else "") + self.message


class ManifestError(OperatorError):
    """The manifest has errors; `diagnostics` holds all of them, sorted by file and line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        diagnostics = sorted(diagnostics, key=lambda diagnostic: (diagnostic.file, diagnostic.line))
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = diagnostics


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
            return _NodeChecker(self.file, node).lines
        finally:
            loader.dispose()

    def diagnostic(self, path: YamlPath, message: str) -> Diagnostic:
        """An error at a path, with the line of the longest prefix that the document has."""
        prefix = path
        while prefix and prefix not in self.lines:
            prefix = prefix[:-1]
        line = self.lines.get(prefix, 0)
        return Diagnostic(file=self.file, line=line, path=_as_text(path), message=message)


def _as_text(path: YamlPath) -> str:
    return ": ".join(map(str, path))


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """YAML 1.2's unquoted values by first character: `off`, `2026-01-01` and `1:30` are text."""
    resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, first_characters in (
        ("null", r"~|null|", ["~", "n", ""]),
        ("bool", r"true|false", ["t", "f"]),
        ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
        (
            "float",
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
            list("-+.0123456789"),
        ),
    ):
        for character in first_characters:
            resolver = (f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"))
            resolvers.setdefault(character, []).append(resolver)
    return resolvers


RESOLVERS = _resolvers()

MAX_INT_DIGITS = 1000
"""Python refuses to convert much longer numbers."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's loader where it is installed: about eight times as fast."""


_Loader.yaml_implicit_resolvers = RESOLVERS


def files(path: Path) -> list[Path]:
    """The files of a manifest, sorted by name."""
    if path.is_dir():
        return sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return [path]


def read(path: Path) -> list[Document]:
    """Read all documents. Raises ManifestError."""
    diagnostics: list[Diagnostic] = []
    documents: list[Document] = []
    manifest_files = files(path)
    if not manifest_files:
        message = "the folder has no .yaml or .yml file"
        diagnostics.append(Diagnostic(file=str(path), message=message))
    for file in manifest_files:
        try:
            documents += _documents(str(file), file.read_text(encoding="utf-8"), diagnostics)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            diagnostics.append(Diagnostic(file=str(file), message=message))
        except UnicodeDecodeError:
            diagnostics.append(Diagnostic(file=str(file), message="is not valid UTF-8"))
        except yaml.YAMLError as error:
            diagnostics.append(_syntax_error(file, error))
    if diagnostics:
        raise ManifestError(diagnostics)
    return documents


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
            checker = _NodeChecker(file, node)
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


class _NodeChecker:
    """Walks the nodes of a document: records lines, and finds what JSON cannot express."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.lines: dict[YamlPath, int] = {}
        self.diagnostics: list[Diagnostic] = []
        self._file = file
        self._visit(node, (), ())

    def _visit(self, node: yaml.Node, path: YamlPath, parents: tuple[yaml.Node, ...]) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if any(node is parent for parent in parents):
            self._add(node, path, "the alias refers to a value that contains the alias itself")
        elif isinstance(node, yaml.ScalarNode):
            self._check_tag(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, (*path, index), (*parents, node))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._visit_key(key, path)
                self._visit(value, (*path, str(key.value)), (*parents, node))

    def _check_tag(self, node: yaml.ScalarNode, path: YamlPath) -> None:
        """Refuse a tag such as `!!int` that does not fit its value."""
        _, standard, kind = node.tag.rpartition("tag:yaml.org,2002:")
        fitting = [tag for tag, p in RESOLVERS.get(node.value[:1], ()) if p.match(node.value)]
        if not standard or kind == "str":
            return
        if node.tag not in fast_yaml.CONSTRUCTORS:
            allowed = "!!str, !!int, !!float, !!bool, !!null"
            self._add(node, path, f"the tag !!{kind} is not supported; allowed: {allowed}")
        elif node.tag not in fitting:
            self._add(node, path, f"{node.value!r} is not a valid {kind}")
        elif kind == "int" and len(node.value) > MAX_INT_DIGITS:
            self._add(node, path, f"the number is too long; at most {MAX_INT_DIGITS} digits")

    def _visit_key(self, key: yaml.Node, path: YamlPath) -> None:
        key_path = (*path, str(key.value))
        if not isinstance(key, yaml.ScalarNode):
            self._add(key, path, "a key must be text, not a list or a mapping")
        elif key.tag != "tag:yaml.org,2002:str":
            self._add(key, path, f"the key {key.value} is not text; put it in quotes")
        elif key_path in self.lines:
            first_line = self.lines[key_path]
            self._add(key, key_path, f"duplicate key; line {first_line} has it already")
        self.lines[key_path] = key.start_mark.line + 1

    def _add(self, node: yaml.Node, path: YamlPath, message: str) -> None:
        line = node.start_mark.line + 1
        self.diagnostics.append(
            Diagnostic(file=self._file, line=line, path=_as_text(path), message=message)
        )


def _syntax_error(file: Path, error: yaml.YAMLError) -> Diagnostic:
    if isinstance(error, yaml.reader.ReaderError):
        line = file.read_text(encoding="utf-8").count("\n", 0, error.position) + 1
        problem = error.reason
    else:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        problem = getattr(error, "problem", None) or str(error)
    return Diagnostic(file=str(file), line=line, message=f"is not valid YAML: {problem}")
