"""Errors of a manifest, each with its file, line and path."""

from dataclasses import dataclass
from typing import TypeAlias

from gateway.runtime.errors import OperatorError

YamlPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value in a document: `("routes", "order_stages.create", "method")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One error of a manifest. `message` says what is wrong and what would be allowed.

    `line` and `column` count from 1 and are 0 where the error has none. `path` is the YAML path as
    text, empty for an error of the whole file.
    """

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    message: str

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number]
        location = f"{':'.join([self.file, *numbers])}: "
        return location + (f"{self.path}: " if self.path else "") + self.message


class ManifestError(OperatorError):
    """The manifest has errors; `diagnostics` holds all of them, sorted by file and line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        diagnostics = sorted(diagnostics, key=lambda diagnostic: (diagnostic.file, diagnostic.line))
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = diagnostics


def as_text(path: YamlPath) -> str:
    """A YAML path as messages show it."""
    return ": ".join(map(str, path))
