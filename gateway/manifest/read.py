"""Read `routes.yaml`: a file, or a folder of files, of one or more YAML documents.

YAML 1.2 booleans (`off` is a word, not false), no key twice, and every value's line is kept.
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

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a document: `("routes", "order_stages.create", "method")`."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong: file and line, the place in words, and what would be allowed."""

    file: str
    line: int
    place: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return where + (f"{self.place}: " if self.place else "") + self.message


class ManifestError(Exception):
    """The manifest cannot be used; `diagnostics` are all that is wrong, by file and line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        diagnostics = sorted(diagnostics, key=lambda diagnostic: (diagnostic.file, diagnostic.line))
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = diagnostics


class Document:
    """One YAML document, the `place`-th of a file's text."""

    def __init__(self, file: str, data: Any, text: str, place: int) -> None:  # noqa: ANN401
        self.file = file
        self.data = data
        self._text = text
        self._place = place

    @cached_property
    def lines(self) -> dict[Place, int]:
        """The line of each place: found when there is a fault to tell, and not before."""
        loader = _Loader(self._text)
        try:
            node = next(islice(_nodes(loader), self._place, None))
            return _Walk(self.file, node).lines
        finally:
            loader.dispose()

    def diagnostic(self, place: Place, message: str) -> Diagnostic:
        """A fault at a place; the line is that of the nearest place that has one."""
        nearest = place
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        shown = ": ".join(str(part) for part in place)
        return Diagnostic(self.file, self.lines.get(nearest, 0), shown, message)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The plain values of YAML 1.2: `off` is a word, `2026-01-01` is text, `1:30` no number."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, firsts in (
        ("null", r"~|null|", ["~", "n", ""]),
        ("bool", r"true|false", ["t", "f"]),
        ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
        (
            "float",
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
            list("-+.0123456789"),
        ),
    ):
        for first in firsts:
            resolver = (f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"))
            found.setdefault(first, []).append(resolver)
    return found


RESOLVERS = _resolvers()

MAX_INT_DIGITS = 1000
"""Digits; Python refuses to read very many."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The loader of libyaml where there is one: it is about eight times as fast."""


_Loader.yaml_implicit_resolvers = RESOLVERS


def files(path: Path) -> list[Path]:
    """The files of a manifest, in the order of names."""
    if path.is_dir():
        return sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return [path]


def read(path: Path) -> list[Document]:
    """All documents. Raises ManifestError."""
    diagnostics: list[Diagnostic] = []
    documents: list[Document] = []
    found = files(path)
    if not found:
        diagnostics.append(Diagnostic(str(path), 0, "", "the folder holds no .yaml file"))
    for file in found:
        try:
            documents += _documents(str(file), file.read_text(encoding="utf-8"), diagnostics)
        except OSError as error:
            diagnostics.append(Diagnostic(str(file), 0, "", f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError:
            diagnostics.append(Diagnostic(str(file), 0, "", "is not UTF-8"))
        except yaml.YAMLError as error:
            diagnostics.append(_syntax(file, error))
    if diagnostics:
        raise ManifestError(diagnostics)
    return documents


def _documents(file: str, text: str, diagnostics: list[Diagnostic]) -> Iterator[Document]:
    """The documents of a file."""
    try:
        made = list(fast_yaml.documents(_Loader(text), RESOLVERS))
    except (fast_yaml.NotPlainError, yaml.YAMLError):
        yield from _carefully(file, text, diagnostics)
        return
    yield from (Document(file, data, text, place) for place, data in enumerate(made))


def _carefully(file: str, text: str, diagnostics: list[Diagnostic]) -> Iterator[Document]:
    """The documents of a file; the errors of one go to `diagnostics`, and the next is read."""
    loader = _Loader(text)
    try:
        for place, node in enumerate(_nodes(loader)):
            walk = _Walk(file, node)
            diagnostics += walk.diagnostics
            if not walk.diagnostics:
                yield Document(file, loader.construct_document(node), text, place)
    except RecursionError:
        diagnostics.append(Diagnostic(file, 0, "", "is nested too deeply"))
    finally:
        loader.dispose()


def _nodes(loader: Any) -> Iterator[yaml.Node]:  # noqa: ANN401 - libyaml's has no type
    while loader.check_node():
        yield loader.get_node()


class _Walk:
    """Goes over a document before it is made: notes lines, finds keys that JSON has not."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.lines: dict[Place, int] = {}
        self.diagnostics: list[Diagnostic] = []
        self._file = file
        self._visit(node, (), ())

    def _visit(self, node: yaml.Node, place: Place, around: tuple[yaml.Node, ...]) -> None:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if any(node is outer for outer in around):
            self._add(node, place, "is an alias of what it stands in")
        elif isinstance(node, yaml.ScalarNode):
            self._judge(node, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, (*place, index), (*around, node))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._visit_key(key, place)
                self._visit(value, (*place, str(key.value)), (*around, node))

    def _judge(self, node: yaml.ScalarNode, place: Place) -> None:
        """A tag may call a value what it is not."""
        _, standard, kind = node.tag.rpartition("tag:yaml.org,2002:")
        fitting = [tag for tag, p in RESOLVERS.get(node.value[:1], ()) if p.match(node.value)]
        if not standard or kind == "str":
            return
        if node.tag not in fast_yaml.MAKE:
            self._add(node, place, f"!!{kind} is no kind of value that JSON has")
        elif node.tag not in fitting:
            self._add(node, place, f"{node.value!r} is no {kind}")
        elif kind == "int" and len(node.value) > MAX_INT_DIGITS:
            self._add(node, place, f"a number has at most {MAX_INT_DIGITS} digits")

    def _visit_key(self, key: yaml.Node, place: Place) -> None:
        inner = (*place, str(key.value))
        if key.tag != "tag:yaml.org,2002:str":
            shown = str(key.value) if isinstance(key, yaml.ScalarNode) else "this"
            self._add(key, place, f"a key is text, {shown} is not: put it in quotes")
        elif inner in self.lines:
            first = self.lines[inner]
            self._add(key, inner, f"stands here and in line {first}: a key is given once")
        self.lines[inner] = key.start_mark.line + 1

    def _add(self, node: yaml.Node, place: Place, message: str) -> None:
        line = node.start_mark.line + 1
        self.diagnostics.append(Diagnostic(self._file, line, ": ".join(map(str, place)), message))


def _syntax(file: Path, error: yaml.YAMLError) -> Diagnostic:
    if isinstance(error, yaml.reader.ReaderError):
        line = file.read_text(encoding="utf-8").count("\n", 0, error.position) + 1
        return Diagnostic(str(file), line, "", f"is not YAML: {error.reason}")
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Diagnostic(str(file), mark.line + 1 if mark else 0, "", f"is not YAML: {problem}")
