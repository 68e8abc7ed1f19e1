"""The options that print or install the shell's completion, which click provides."""

import os
import shlex
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from gateway.runtime.errors import OperatorError

PROGRAM = "gateway"
VARIABLE = "_GATEWAY_COMPLETE"
"""The variable with which a shell asks for completions; click derives its name from PROGRAM."""

SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
_DETECT = "detect"

# Where nothing has started zsh's completion yet, `compdef` is not a command.
_ZSH_HEAD = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"


def add_to(command: click.Command) -> None:
    """Add the options to the command."""
    for name, callback, line in (
        ("--install-completion", _install, "Install completion for your shell, or a named one."),
        ("--show-completion", _show, "Print the completion script for your shell, or a named one."),
    ):
        option = click.option(
            name,
            metavar="[SHELL]",
            is_flag=False,
            flag_value=_DETECT,
            is_eager=True,
            expose_value=False,
            callback=callback,
            help=line,
        )
        option(command)


def _show(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(script(ctx.command, _shell(value)))
        ctx.exit()


def _install(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and not ctx.resilient_parsing:
        shell = _shell(value)
        try:
            for path in install(shell, script(ctx.command, shell), Path.home()):
                click.echo(f"changed {path}")
        except OSError as error:
            message = f"{error.filename}: cannot be written: {error.strerror}"
            raise OperatorError(message) from error
        click.echo("completion works in every shell that is started from now on")
        ctx.exit()


def _shell(value: str) -> str:
    """The shell that is named, otherwise the user's login shell. Raises OperatorError."""
    shell = Path(os.environ.get("SHELL", "")).name if value == _DETECT else value
    if shell not in SHELLS:
        raise OperatorError(
            f"unknown shell {shell!r}: name one of {', '.join(SHELLS)} after the option"
        )
    return shell


def script(command: click.Command, shell: str) -> str:
    """The script that makes a shell complete the command."""
    text = SHELLS[shell](command, {}, PROGRAM, VARIABLE).source()
    return _ZSH_HEAD + text if shell == "zsh" else text


def install(shell: str, text: str, home: Path) -> list[Path]:
    """Write a script, and have the shell read it when it starts; the files that were changed.

    Raises OSError.
    """
    if shell == "fish":
        # fish reads this folder by itself.
        path = home / ".config" / "fish" / "completions" / "gateway.fish"
        startup = None
    else:
        path = home / ".local" / "share" / "gateway" / f"completion.{shell}"
        startup = Path(os.environ.get("ZDOTDIR", home) if shell == "zsh" else home) / f".{shell}rc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [path, *([startup] if startup and _source(startup, path) else [])]


def _source(startup: Path, path: Path) -> bool:
    """Add a line to a shell's startup file that reads a script, unless it has it already."""
    line = f"source {shlex.quote(str(path))}"
    text = startup.read_text() if startup.exists() else ""
    if line in text.splitlines():
        return False
    with startup.open("a") as file:
        file.write(f"\n# Completion of the gateway command\n{line}\n")
    return True
