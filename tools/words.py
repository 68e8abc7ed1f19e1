"""Finds words to avoid in sentences, and suggests replacements.

`python tools/words.py` reads the whole repository, `python tools/words.py docs README.md` only
these paths; it exits 1 if it finds any. A sentence should be subject, verb, object, with the
field's standard nouns; `RULES` lists the words that made readers stumble.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PATHS = (
    *("gateway", "services", "schemas", "docs", "tests", "benchmarks", "deploy", "tools"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "Makefile"),
    *("pyproject.toml", "routes.yaml", ".github"),
)
SUFFIXES = {".env", ".json", ".md", ".py", ".service", ".sql", ".toml", ".yaml", ".yml", ""}
SKIPPED = {"__pycache__", "migrations", "node_modules"}
"""Folders to skip; released migrations must not be edited."""
WORD_LISTS = {ROOT / "tools" / "words.py", ROOT / "tests" / "unit" / "test_words.py"}
"""Files that must name the words in order to find them."""


class Rule(NamedTuple):
    """A word to avoid; a space in a pattern also matches `_` and the end of a line."""

    pattern: str
    instead: str
    allowed: tuple[tuple[str, str], ...] = ()
    """Patterns of text in which the word is allowed, each with the reason."""


ACTOR = "name the actor: the client, the caller, the operator, another worker"
RULES = (
    Rule("anew", "again"),
    Rule("whoever|whomever", ACTOR),
    Rule("somebody", ACTOR),
    Rule(
        "nobody",
        f"no client, no caller, no one; or {ACTOR}",
        (
            (r"nobody(\.[a-z]+)*@", "an e-mail address or a user of a database address"),
            (r"""(["'`])nobody\1""", "a value: the demo's user without a role and its token"),
            (r"nobody-[a-z]+", "a slug of test data and of the tutorial"),
            (r"_nobody\b", "a constant: the system's account of this name"),
        ),
    ),
    Rule("of which|of whom", "whose; or a second sentence"),
    Rule(
        "is no [a-z]+",
        "is not a …; is not …",
        (
            ("is no longer", "the plain way to say it"),
            ("there is no", "says that something does not exist"),
        ),
    ),
    Rule("or else", "otherwise; or"),
    Rule(r"(?<=[,;]\s)else", "otherwise; or", (("else:", "code: the branch of a condition"),)),
    Rule("what was committed", "the committed rows; the committed work"),
    Rule("for good", "permanently", (("for good [a-z]+ (?!and)", "an adjective: good reasons"),)),
    Rule("lingers?", "waits; stays"),
)


class Hit(NamedTuple):
    """A word that was found, its line, and its replacement."""

    line: int
    word: str
    instead: str


def _compiled(pattern: str) -> re.Pattern[str]:
    # A sentence may continue in the next line, in a comment after its marker.
    return re.compile(pattern.replace(" ", r"(?:_|\s+(?:(?:#|--)\s+)?)"), re.IGNORECASE)


_COMPILED = [
    (_compiled(f"(?<![a-z])(?:{pattern})(?![a-z])"), [_compiled(p) for p, _ in allowed], instead)
    for pattern, instead, allowed in RULES
]


def hits(text: str) -> Iterator[Hit]:
    """Find the words to avoid in a text, rule by rule."""
    for pattern, allowed, instead in _COMPILED:
        spans = [match.span() for exception in allowed for match in exception.finditer(text)]
        for match in pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in spans):
                line = text.count("\n", 0, match.start()) + 1
                yield Hit(line, " ".join(match[0].split()), instead)


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files to read: those named, and those in the named folders that may hold sentences."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            skipped = SKIPPED.intersection(file.parts) or file.suffix not in SUFFIXES
            if file.is_file() and not skipped and file not in WORD_LISTS:
                yield file


def main() -> None:
    """Print each word with its file, its line and its replacement."""
    paths = [Path(path).resolve() for path in sys.argv[1:]] or [ROOT / name for name in PATHS]
    count = 0
    for file in files(paths):
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        for hit in sorted(hits(file.read_text(encoding="utf-8"))):
            print(f"{name}:{hit.line}: {hit.word} → {hit.instead}")
            count += 1
    sys.exit(f"{count} words to replace" if count else 0)


if __name__ == "__main__":
    main()
