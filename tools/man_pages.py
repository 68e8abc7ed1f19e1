"""Writes `share/`: a man page for each command, and the completion of bash, zsh and fish.

Everything comes from the parser that prints `--help`. `python tools/man_pages.py` writes the files
and removes those of commands that are gone; with `--check` it only names what is out of date.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from gateway.cli.completion import PROGRAM, SHELLS, VARIABLE
from gateway.cli.main import app
from gateway.cli.verbs import LazyCommand

ROOT = Path(__file__).parents[1]
SHARE = ROOT / "share"
_COMPLETIONS = {
    "bash": "bash-completion/completions/gateway",
    "zsh": "zsh/site-functions/_gateway",
    "fish": "fish/vendor_completions.d/gateway.fish",
}
_ENVIRONMENT = (
    "Every setting is an environment variable that begins with GATEWAY_; "
    "`gateway config` lists them."
)


def files() -> dict[Path, str]:
    """The content of each file below `share/`."""
    root = click.Context(app, info_name=PROGRAM)
    pages = {
        SHARE / "man" / "man1" / f"{_page_name(context)}.1": _page(context)
        for context in _contexts(root)
    }
    scripts = {
        SHARE / file: SHELLS[shell](app, {}, PROGRAM, VARIABLE).source()
        for shell, file in _COMPLETIONS.items()
    }
    return {**pages, **scripts}


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """The contexts of a command and of all commands below it, with the names to call them by."""
    yield context
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            loaded = command.load() if isinstance(command, LazyCommand) else command
            yield from _contexts(click.Context(loaded, info_name=name, parent=context))


def _page_name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context) -> str:
    """The man page of a command."""
    command = context.command
    text = _paragraphs(command.help or "")
    sections = {
        "NAME": [f"{_page_name(context)} \\- {_prose(_summary(text[0]))}"],
        "SYNOPSIS": [f".B {_literal(context.command_path)}", *_usage(context)],
        "DESCRIPTION": _described(text),
        **_parameters(context),
        "COMMANDS": _commands(context),
        "EXIT STATUS": _described(_paragraphs(_exit_codes(command))),
        "ENVIRONMENT": [_prose(_ENVIRONMENT)],
        "SEE ALSO": [_see_also(context)],
    }
    head = f'.TH "{_page_name(context).upper()}" "1" "" "Plano gateway" "Plano gateway"'
    body = [line for name, lines in sections.items() if lines for line in (f".SH {name}", *lines)]
    return _ascii("\n".join([head, *body]) + "\n")


def _ascii(text: str) -> str:
    """A page in ASCII, which looks the same in every locale."""
    return "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)


def _summary(line: str) -> str:
    return line.split(": ", 1)[0].removesuffix(".")


def _paragraphs(text: str) -> list[str]:
    r"""The paragraphs of a help text; those that begin with \b keep their lines."""
    parts = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
    return [part if part.startswith("\b") else " ".join(part.split()) for part in parts]


def _described(paragraphs: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for paragraph in paragraphs:
        if paragraph.startswith("Exit codes:") and lines:
            continue
        lines += _example(paragraph) if paragraph.startswith("\b") else [".PP", _prose(paragraph)]
    return lines


def _example(paragraph: str) -> list[str]:
    """A heading, and lines to copy."""
    _, heading, *lines = paragraph.splitlines()
    copied = [_literal(line.strip()) for line in lines]
    return [".PP", _prose(heading), ".PP", ".nf", ".RS", *copied, ".RE", ".fi"]


def _exit_codes(command: click.Command) -> str:
    """The sentence about exit codes, from the help or below it."""
    found = [p for p in _paragraphs(command.help or "") if p.startswith("Exit codes:")]
    return found[0] if found else command.epilog or ""


def _usage(context: click.Context) -> list[str]:
    """What follows the command's name, as `--help` shows it."""
    return [_prose(" ".join(context.command.collect_usage_pieces(context)))]


def _parameters(context: click.Context) -> dict[str, list[str]]:
    """The sections of arguments and options."""
    sections: dict[str, list[str]] = {"ARGUMENTS": [], "OPTIONS": []}
    for param in context.command.get_params(context):
        name, meaning = param.get_help_record(context) or ("", "")
        section = "ARGUMENTS" if isinstance(param, click.Argument) else "OPTIONS"
        if name:
            sections[section] += [".TP", f"\\fB{_literal(name)}\\fR", _prose(meaning)]
    return sections


def _commands(context: click.Context) -> list[str]:
    if not isinstance(context.command, click.Group):
        return []
    return [
        line
        for name, command in context.command.commands.items()
        for line in (
            ".TP",
            f"\\fB{_literal(f'{_page_name(context)}-{name}')}\\fR(1)",
            _prose(command.short_help or command.help or ""),
        )
    ]


def _see_also(context: click.Context) -> str:
    """The page above this one, and on the first page the documentation."""
    if context.parent is None:
        return _prose("The pages of docs/, and /documentation of a running gateway.")
    return f"\\fB{_literal(_page_name(context.parent))}\\fR(1)"


def _prose(text: str) -> str:
    """A paragraph; text in back-ticks is bold, since it is to be typed."""
    parts = text.split("`")
    words = [_literal(part) if index % 2 else _plain(part) for index, part in enumerate(parts)]
    line = "".join(f"\\fB{word}\\fR" if i % 2 else word for i, word in enumerate(words))
    return _guarded(line)


def _plain(text: str) -> str:
    # A hyphen before a word begins an option: it must stay a hyphen when it is copied.
    return re.sub(r"(?<![\w-])-+", lambda match: "\\-" * len(match[0]), text.replace("\\", "\\e"))


def _literal(text: str) -> str:
    """Text to be typed: every character stays as it is."""
    named = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
    return _guarded("".join(named.get(character, character) for character in text))


def _guarded(line: str) -> str:
    """A line that roff does not read as a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def stale() -> list[Path]:
    """The files that differ from what the parser says, or should not be there."""
    expected = files()
    found = {file for file in SHARE.rglob("*") if file.is_file()}
    changed = {file for file in found & expected.keys() if file.read_text() != expected[file]}
    return sorted((found ^ expected.keys()) | changed)


def main() -> None:
    """Write the files; with `--check` only name those that are out of date."""
    out_of_date = stale()
    if "--check" in sys.argv:
        for file in out_of_date:
            message = "is out of date; run `make docs-refresh`"
            click.echo(f"{file.relative_to(ROOT)} {message}", err=True)
        sys.exit(bool(out_of_date))
    expected = files()
    for file in out_of_date:
        if file not in expected:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(expected[file])


if __name__ == "__main__":
    main()
