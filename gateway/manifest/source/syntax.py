"""Readable YAML syntax errors: position, where the block or quote began, what is expected.

libyaml reports where it stopped; if a quote is missing, that may be a hundred lines below it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import yaml


class Position(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Problem(NamedTuple):
    """A syntax error: where to look, and what is wrong."""

    position: Position
    message: str


def describe(text: str, error: yaml.YAMLError, tokens: Callable[[], Any]) -> Problem:
    """The problem that a syntax error in a text stands for. `tokens` makes a loader of the text."""
    if isinstance(error, yaml.reader.ReaderError):
        return _unreadable(text, error)
    context, problem = (getattr(error, name, None) or "" for name in ("context", "problem"))
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Problem(Position(1, 1), "the text is not YAML")
    fault = _YamlError(
        text=text,
        context=context,
        problem=problem,
        end=_position(mark),
        start=_position(getattr(error, "context_mark", None) or mark),
        scan=_Scan(tokens(), mark),
    )
    return _quote_that_runs_on(fault) or _worded(fault)


class _Scan:
    """The tokens before a syntax error: brackets that are open, and the last quoted text."""

    def __init__(self, loader: Any, end: yaml.Mark) -> None:  # noqa: ANN401 - libyaml's loader
        self.brackets: list[Position] = []
        self.quoted: tuple[Position, Position] | None = None
        try:
            while loader.check_token():
                token = loader.get_token()
                if token.start_mark.index >= end.index:
                    break
                self._note(token)
        except yaml.YAMLError:
            pass
        finally:
            loader.dispose()

    def _note(self, token: Any) -> None:  # noqa: ANN401
        if isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
            self.brackets.append(_position(token.start_mark))
        elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken):
            self.brackets = self.brackets[:-1]
        elif isinstance(token, yaml.ScalarToken) and token.style in {'"', "'"}:
            self.quoted = (_position(token.start_mark), _position(token.end_mark))


class _YamlError(NamedTuple):
    """A syntax error as libyaml reports it: from where a part began to where it broke."""

    text: str
    context: str
    problem: str
    start: Position
    end: Position
    scan: _Scan

    @property
    def line(self) -> str:
        """The line where the text broke."""
        lines = self.text.splitlines()
        return lines[self.end.line - 1] if self.end.line <= len(lines) else ""

    @property
    def character(self) -> str:
        """The character where the text broke; empty at the end of a line."""
        return self.line[self.end.column - 1 : self.end.column]

    @property
    def word(self) -> str:
        """The text from where it broke up to the next space."""
        return self.line[self.end.column - 1 :].split(" ")[0].rstrip(",]}")


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _unreadable(text: str, error: yaml.reader.ReaderError) -> Problem:
    # libyaml counts bytes.
    before = text.encode()[: error.position].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    code = error.character if isinstance(error.character, int) else ord(error.character)
    message = f"the control character U+{code:04X} is not allowed; remove it"
    return Problem(Position(line, column), message)


def _quote_that_runs_on(fault: _YamlError) -> Problem | None:
    """A quoted text of several lines that ends where the text broke lacks its closing quote."""
    if fault.scan.quoted is None:
        return None
    start, end = fault.scan.quoted
    if start.line < end.line == fault.end.line:
        message = f"the quote that opens here closes only at {end}; close it where its text ends"
        return Problem(start, message)
    return None


def _worded(fault: _YamlError) -> Problem:
    for expected, word in _WORDS:
        if expected in fault.problem or expected in fault.context:
            return word(fault)
    return Problem(fault.end, f"unexpected text after {fault.start}; check indentation and quotes")


def _at_end(message: str) -> Callable[[_YamlError], Problem]:
    return lambda fault: Problem(fault.end, message)


def _tab_or_character(fault: _YamlError) -> Problem:
    if fault.character == "\t":
        return Problem(fault.end, _TAB)
    message = f"a value cannot begin with {fault.character}; put the value in quotes"
    return Problem(fault.end, message)


def _unclosed_quote(fault: _YamlError) -> Problem:
    return Problem(fault.start, "the quote that opens here is never closed")


def _unclosed_before_document(fault: _YamlError) -> Problem:
    message = f"the quote that opens here is not closed before the document ends in {fault.end}"
    return Problem(fault.start, message)


def _unclosed_bracket(fault: _YamlError) -> Problem:
    bracket = "]" if "sequence" in fault.context else "}"
    message = (
        f"the {'[' if bracket == ']' else '{'} that opens here is not closed: "
        f"expected , or {bracket} at {fault.end}"
    )
    return Problem(fault.start, message)


def _no_content(fault: _YamlError) -> Problem:
    at_end = not fault.text.splitlines()[fault.end.line :] and not fault.line.strip()
    if at_end and fault.scan.brackets:
        return Problem(fault.scan.brackets[-1], "the bracket that opens here is never closed")
    here = f", not {fault.character}" if fault.character else ""
    return Problem(fault.end, f"expected a value{here}; remove it, or put it in quotes")


def _no_key(fault: _YamlError) -> Problem:
    if fault.scan.quoted and fault.scan.quoted[1].line == fault.end.line:
        message = (
            f"the quoted text that opens at {fault.scan.quoted[0]} ends before this; write a "
            'quote inside \'…\' twice, inside "…" as \\", or put all of the value in quotes'
        )
        return Problem(fault.end, message)
    if fault.character in {"]", "}", ","}:
        return Problem(fault.end, f"{fault.character} is not expected here; remove it")
    message = (
        f"wrong indentation: expected a key in column {fault.start.column}, as in the mapping "
        f"that begins at {fault.start}, or in the column of the keys just above"
    )
    return Problem(fault.end, message)


def _no_item(fault: _YamlError) -> Problem:
    message = (
        f"wrong indentation: expected - in column {fault.start.column}, as in the list "
        f"that begins at {fault.start}"
    )
    return Problem(fault.end, message)


def _second_colon(fault: _YamlError) -> Problem:
    before = fault.line[: fault.end.column - 1]
    if ": " in before:
        message = "a value cannot contain another `: `; put the value in quotes"
    else:
        message = (
            "wrong indentation, or a missing `:` above: "
            "this key is below a value that cannot hold keys"
        )
    return Problem(fault.end, message)


def _no_colon(fault: _YamlError) -> Problem:
    return Problem(fault.start, "expected `:` after this key")


def _escape(fault: _YamlError) -> Problem:
    column = fault.end.column
    escape = fault.line[column - 1 : column + 1]
    message = f"{escape} is not an escape; write \\{escape}, or use single quotes"
    return Problem(fault.end, message)


def _second_anchor(fault: _YamlError) -> Problem:
    message = f"the anchor {fault.word} is already defined at {fault.start}; use another name"
    return Problem(fault.end, message)


def _unknown_alias(fault: _YamlError) -> Problem:
    message = (
        f"the alias {fault.word} has no anchor &{fault.word[1:]} above; "
        "define the anchor, or put the value in quotes"
    )
    return Problem(fault.end, message)


_TAB = "a tab is used as indentation; use spaces"
_DIRECTIVE = (
    "a line that begins with % is a directive, and only %YAML 1.2 is read; remove the line, "
    "or put the value in quotes"
)
_CODE = "\\x, \\u and \\U need the 2, 4 or 8 hexadecimal digits of a character"

_WORDS: tuple[tuple[str, Callable[[_YamlError], Problem]], ...] = (
    ("found character that cannot start any token", _tab_or_character),
    ("found a tab character", _at_end(_TAB)),
    ("directive", _at_end(_DIRECTIVE)),
    ("found incompatible YAML document", _at_end(_DIRECTIVE)),
    ("found unexpected end of stream", _unclosed_quote),
    ("found unexpected document indicator", _unclosed_before_document),
    ("did not find expected ',' or", _unclosed_bracket),
    ("did not find expected node content", _no_content),
    ("did not find expected key", _no_key),
    ("did not find expected '-' indicator", _no_item),
    ("mapping values are not allowed", _second_colon),
    ("could not find expected ':'", _no_colon),
    (
        "block sequence entries are not allowed",
        _at_end("a list with - cannot begin on the line of its key; begin it on the next line"),
    ),
    (
        "mapping keys are not allowed",
        _at_end("a value cannot begin with ?; put the value in quotes"),
    ),
    ("found unknown escape character", _escape),
    ("hexdecimal number", _at_end(_CODE)),
    ("found invalid Unicode character escape code", _at_end(_CODE)),
    ("duplicate anchor", _second_anchor),
    ("found undefined alias", _unknown_alias),
    (
        "did not find expected alphabetic or numeric character",
        _at_end("& and * need a name of letters, digits, - and _; put the value in quotes"),
    ),
    (
        "while scanning a block scalar",
        _at_end("| and > are followed by the end of the line; the text begins on the next line"),
    ),
    (
        "did not find expected <document start>",
        _at_end("the document above is complete; check the indentation, or begin another with ---"),
    ),
    ("tag", _at_end("tags such as !x are not read; put a value that begins with ! in quotes")),
    ("while parsing a node", _at_end("tags such as !x are not read; put the value in quotes")),
)
"""Texts of libyaml, each with the function that words the problem; the first that fits is used."""
