"""Adds an entry to the text of a manifest; its comments, its order and its layout stay."""

import textwrap

import yaml

from gateway.dev.scaffold.files import ScaffoldError

_INDENT = 2


def with_entry(text: str, kind: str, entry: str) -> str:
    """The text with an entry, YAML in block style, as the last one below `kind`.

    The entry goes into the first document. Raises ScaffoldError.
    """
    root = next(yaml.compose_all(text, Loader=yaml.SafeLoader), None)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise ScaffoldError("the manifest must be a mapping in block style to be added to")
    pairs = {key.value: (key, value) for key, value in root.value}
    if kind not in pairs:
        added = _below_all(text, root, f"{kind}:\n{_indented(entry, _INDENT)}")
    else:
        added = _below(text, *pairs[kind], entry)
    _refuse_other_changes(text, added, kind, entry)
    return added


def _below_all(text: str, root: yaml.MappingNode, block: str) -> str:
    """The text with a block at the end of the first document."""
    lines = text.splitlines(keepends=True)
    end = _end(lines, root.end_mark, 0)
    return _joined([*lines[:end], "\n", block, *lines[end:]])


def _below(text: str, key: yaml.Node, value: yaml.Node, entry: str) -> str:
    if not isinstance(value, yaml.MappingNode) and value.tag != "tag:yaml.org,2002:null":
        raise ScaffoldError(f"`{key.value}` of the manifest must be a mapping")
    lines = text.splitlines(keepends=True)
    if not isinstance(value, yaml.MappingNode) or not value.value:
        # The key has no entries yet: `routes:` or `routes: {}`.
        line = lines[key.start_mark.line]
        bare = line[: key.end_mark.column] + ":" + _comment(line[value.end_mark.column :]) + "\n"
        index = key.start_mark.line
        return _joined([*lines[:index], bare, _indented(entry, _INDENT), *lines[index + 1 :]])
    last = value.value[-1][1]
    if value.flow_style:
        index = last.end_mark.index
        return f"{text[:index]}, {_in_flow(entry)}{text[index:]}"
    column = value.value[0][0].start_mark.column
    end = _end(lines, value.end_mark, column)
    gap = ["\n"] if _is_spaced(lines, value) else []
    return _joined([*lines[:end], *gap, _indented(entry, column), *lines[end:]])


def _end(lines: list[str], mark: yaml.Mark, column: int) -> int:
    """The line after a block: blank lines and comments further left are not part of it."""
    # At the end of a file without a newline, the mark stands behind the last character.
    end = mark.line + (mark.column > 0)
    while end and _is_outside(lines[end - 1], column):
        end -= 1
    return end


def _is_outside(line: str, column: int) -> bool:
    stripped = line.lstrip()
    indent = len(line) - len(stripped)
    return not stripped or (stripped.startswith("#") and indent < column)


def _is_spaced(lines: list[str], value: yaml.MappingNode) -> bool:
    """Whether blank lines separate the entries."""
    return any(not lines[key.start_mark.line - 1].strip() for key, _ in value.value[1:])


def _comment(rest: str) -> str:
    return f"  {rest.strip()}" if rest.strip().startswith("#") else ""


def _indented(entry: str, column: int) -> str:
    return textwrap.indent(entry, " " * column)


def _in_flow(entry: str) -> str:
    """The entry in one line, as a part of a mapping in braces."""
    data = yaml.safe_load(entry)
    text: str = yaml.safe_dump(data, default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip()[1:-1]


def _joined(parts: list[str]) -> str:
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _refuse_other_changes(text: str, added: str, kind: str, entry: str) -> None:
    """Raise ScaffoldError unless the new text is the old one with the entry."""
    expected, *others = yaml.safe_load_all(text)
    expected[kind] = {**(expected.get(kind) or {}), **yaml.safe_load(entry)}
    try:
        is_same = list(yaml.safe_load_all(added)) == [expected, *others]
    except yaml.YAMLError:
        is_same = False
    if not is_same:
        raise ScaffoldError(f"cannot add to `{kind}` of this layout; add it by hand:\n{entry}")
