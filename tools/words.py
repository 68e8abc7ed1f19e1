"""Finds words that the project's sentences do without, and says what to write instead.

`python tools/words.py` reads the whole repository, `python tools/words.py docs README.md` only
these; it exits 1 if it finds any. A sentence should be subject, verb, object, with the field's
standard nouns: `RULES` is the list of what readers stumbled over.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PLACES = (
    *("gateway", "services", "schemas", "docs", "tests", "benchmarks", "deploy", "tools"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "Makefile"),
    *("pyproject.toml", "routes.yaml", ".github"),
)
SUFFIXES = {".env", ".json", ".md", ".py", ".service", ".sql", ".toml", ".yaml", ".yml", ""}
SKIPPED = {"__pycache__", "migrations", "node_modules"}
"""Folders that are left out; a migration that was released is never edited."""
LISTING = {ROOT / "tools" / "words.py", ROOT / "tests" / "unit" / "test_words.py"}
"""Files that name the words in order to find them."""


class Rule(NamedTuple):
    """A word that is not used; a space stands for any gap, also a line's end and `_`."""

    pattern: str
    instead: str
    allowed: tuple[tuple[str, str], ...] = ()
    """Patterns of text in which the word may stand, each with the reason."""


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
    """A word that was found, and where."""

    line: int
    word: str
    instead: str


def _compiled(pattern: str) -> re.Pattern[str]:
    # A sentence goes on in the next line, in a comment after its mark.
    return re.compile(pattern.replace(" ", r"(?:_|\s+(?:(?:#|--)\s+)?)"), re.IGNORECASE)


_COMPILED = [
    (_compiled(f"(?<![a-z])(?:{pattern})(?![a-z])"), [_compiled(p) for p, _ in allowed], instead)
    for pattern, instead, allowed in RULES
]


def hits(text: str) -> Iterator[Hit]:
    """The words of a text that the rules refuse, rule by rule."""
    for pattern, allowed, instead in _COMPILED:
        spans = [found.span() for each in allowed for found in each.finditer(text)]
        for found in pattern.finditer(text):
            if not any(start < found.end() and found.start() < end for start, end in spans):
                line = text.count("\n", 0, found.start()) + 1
                yield Hit(line, " ".join(found[0].split()), instead)


def files(places: Sequence[Path]) -> Iterator[Path]:
    """The files of folders that hold sentences, and the files that are named."""
    for place in places:
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            hidden = SKIPPED.intersection(file.parts) or file.suffix not in SUFFIXES
            if file.is_file() and not hidden and file not in LISTING:
                yield file


def main() -> None:
    """Print each word with its place and what to write instead."""
    places = [Path(place).resolve() for place in sys.argv[1:]] or [ROOT / name for name in PLACES]
    count = 0
    for file in files(places):
        name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        for hit in sorted(hits(file.read_text(encoding="utf-8"))):
            print(f"{name}:{hit.line}: {hit.word} → {hit.instead}")
            count += 1
    sys.exit(f"{count} words to replace" if count else 0)


if __name__ == "__main__":
    main()
