"""Read `routes.yaml`: a file, or a folder of files, of one or more YAML documents.

YAML 1.2 booleans (`off` is a word, not false), no key twice, and every value's line is kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a document: `("routes", "order_stages.create", "method")`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: file and line, the place in words, and what would be allowed."""

    file: str
    line: int
    place: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return where + (f"{self.place}: " if self.place else "") + self.message


class ManifestError(Exception):
    """The manifest cannot be used; `faults` are all that is wrong."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document, with the line of each of its places."""

    file: str
    data: Any
    lines: dict[Place, int]

    def fault(self, place: Place, message: str) -> Fault:
        """A fault at a place; the line is that of the nearest place that has one."""
        nearest = place
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        shown = ": ".join(str(part) for part in place)
        return Fault(self.file, self.lines.get(nearest, 0), shown, message)


class _Loader(yaml.SafeLoader):
    """YAML with the booleans of version 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def files(path: Path) -> list[Path]:
    """The files of a manifest, in the order of names."""
    if path.is_dir():
        return sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return [path]


def read(path: Path) -> list[Document]:
    """All documents. Raises ManifestError."""
    faults: list[Fault] = []
    documents: list[Document] = []
    found = files(path)
    if not found:
        faults.append(Fault(str(path), 0, "", "the folder holds no .yaml file"))
    for file in found:
        try:
            documents += _documents(file)
        except OSError as error:
            faults.append(Fault(str(file), 0, "", f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError:
            faults.append(Fault(str(file), 0, "", "is not UTF-8"))
        except yaml.YAMLError as error:
            faults.append(_syntax(file, error))
        except ManifestError as error:
            faults += error.faults
    if faults:
        raise ManifestError(faults)
    return documents


def _documents(file: Path) -> Iterator[Document]:
    loader = _Loader(file.read_text(encoding="utf-8"))
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            lines: dict[Place, int] = {}
            faults: list[Fault] = []
            _note_lines(node, (), lines, faults, str(file))
            if faults:
                raise ManifestError(faults)
            yield Document(str(file), loader.construct_document(node), lines)
    finally:
        loader.dispose()


def _note_lines(
    node: yaml.Node, place: Place, lines: dict[Place, int], faults: list[Fault], file: str
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*place, index), lines, faults, file)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            line = key.start_mark.line + 1
            if inner in lines:
                message = f"stands here and in line {lines[inner]}: a key is given once"
                faults.append(Fault(file, line, ": ".join(map(str, inner)), message))
            lines[inner] = line
            _note_lines(value, inner, lines, faults, file)


def _syntax(file: Path, error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return Fault(str(file), mark.line + 1 if mark else 0, "", f"is not YAML: {problem}")
