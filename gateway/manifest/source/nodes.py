"""The nodes of a YAML document: the line of each value, and what JSON cannot express."""

import re

import yaml

from gateway.manifest.source import fast_yaml
from gateway.manifest.source.diagnostic import Diagnostic, YamlPath, as_text

MAX_INT_DIGITS = 1000
"""Python refuses to convert much longer numbers."""

MAX_REPEATED = 100_000
MAX_RATIO = 10
"""Aliases may add 100,000 values, or ten times the values in the file if that is more."""

_STANDARD = "tag:yaml.org,2002:"
_STRUCTURES = {f"{_STANDARD}seq", f"{_STANDARD}map"}


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
            resolver = (f"{_STANDARD}{tag}", re.compile(f"^(?:{pattern})$"))
            resolvers.setdefault(character, []).append(resolver)
    return resolvers


RESOLVERS = _resolvers()


class NodeChecker:
    """Walks the nodes of a document: records lines, and finds what JSON cannot express.

    The target of an alias is walked again for each alias, unless that exceeds the limit.
    """

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.lines: dict[YamlPath, int] = {}
        self.diagnostics: list[Diagnostic] = []
        self._file = file
        self._refuse_expansion(node)
        if not self.diagnostics:
            self._visit(node, ())

    def _refuse_expansion(self, root: yaml.Node) -> None:
        """Refuse aliases that contain themselves or multiply, before any is followed."""
        sizes: dict[int, int] = {}
        self._size(root, sizes)
        repeated = sizes[id(root)] - len(sizes)
        limit = max(MAX_REPEATED, MAX_RATIO * len(sizes))
        if not self.diagnostics and repeated > limit:
            message = f"aliases multiply to more than {limit} values; write the values out"
            self._add(_largest_alias(root, sizes), (), message)

    def _size(self, node: yaml.Node, sizes: dict[int, int]) -> int:
        """The number of values in a node, itself included, with all aliases followed."""
        if id(node) in sizes:
            if not sizes[id(node)]:
                message = "the alias refers to a value that contains the alias itself"
                self._add(node, (), message)
            return sizes[id(node)]
        sizes[id(node)] = 0
        sizes[id(node)] = 1 + sum(self._size(child, sizes) for child in _children(node))
        return sizes[id(node)]

    def _visit(self, node: yaml.Node, path: YamlPath) -> None:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            self._check_tag(node, path)
            return
        if node.tag not in _STRUCTURES:
            self._refuse_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, (*path, index))
        else:
            for key, value in node.value:
                is_duplicate = (*path, str(key.value)) in self.lines
                self._visit_key(key, path)
                if not is_duplicate:
                    self._visit(value, (*path, str(key.value)))

    def _check_tag(self, node: yaml.ScalarNode, path: YamlPath) -> None:
        """Refuse a tag such as `!!int` that does not fit its value."""
        if node.tag == f"{_STANDARD}str":
            return
        kind = node.tag.removeprefix(_STANDARD)
        fitting = [tag for tag, p in RESOLVERS.get(node.value[:1], ()) if p.match(node.value)]
        if node.tag not in fast_yaml.CONSTRUCTORS:
            self._refuse_tag(node, path)
        elif node.tag not in fitting:
            self._add(node, path, f"{node.value!r} is not a valid {kind}")
        elif kind == "int" and len(node.value) > MAX_INT_DIGITS:
            self._add(node, path, f"the number is too long; at most {MAX_INT_DIGITS} digits")

    def _refuse_tag(self, node: yaml.Node, path: YamlPath) -> None:
        tag = node.tag.replace(_STANDARD, "!!")
        allowed = "!!str, !!int, !!float, !!bool, !!null"
        self._add(node, path, f"the tag {tag} is not supported; allowed: {allowed}")

    def _visit_key(self, key: yaml.Node, path: YamlPath) -> None:
        key_path = (*path, str(key.value))
        if not isinstance(key, yaml.ScalarNode):
            self._add(key, path, "a key must be text, not a list or a mapping")
        elif key.tag != f"{_STANDARD}str":
            self._add(key, path, f"the key {key.value} is not text; put it in quotes")
        elif key_path in self.lines:
            first_line = self.lines[key_path]
            self._add(key, key_path, f"duplicate key; line {first_line} has it already")
        self.lines[key_path] = key.start_mark.line + 1

    def _add(self, node: yaml.Node, path: YamlPath, message: str) -> None:
        line = node.start_mark.line + 1
        self.diagnostics.append(
            Diagnostic(file=self._file, line=line, path=as_text(path), message=message)
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.ScalarNode):
        return []
    if isinstance(node, yaml.SequenceNode):
        items: list[yaml.Node] = node.value
        return items
    return [part for pair in node.value for part in pair]


def _largest_alias(root: yaml.Node, sizes: dict[int, int]) -> yaml.Node:
    """The innermost node that is already too large: there the aliases begin to multiply."""
    node = root
    while children := [child for child in _children(node) if sizes[id(child)] > MAX_REPEATED]:
        node = children[0]
    return node
