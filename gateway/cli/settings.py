"""The verb config: the settings as a table, or as an environment file."""

import textwrap
from typing import Annotated

import typer

from gateway.cli.context import load_settings
from gateway.cli.options import Json
from gateway.cli.output import print_table
from gateway.settings import SETTINGS, Setting, shown

_HEAD = """\
# The gateway's settings, each with its default. Made by `gateway config --env`.
# To change one, remove the # before its name.
# `gateway serve` needs GATEWAY_DATABASE_URL; everything else may stay as it is.
"""


def show_settings(
    *,
    as_json: Json = False,
    env: Annotated[bool, typer.Option("--env", help="Print an environment file instead.")] = False,
) -> None:
    """Show every setting with its value; secrets are masked.

    Example: `gateway config --env > gateway.env`
    """
    if env:
        typer.echo(environment_file(), nl=False)
        return
    settings = load_settings()
    rows = [
        (s.variable, shown(s, getattr(settings, s.name)), s.default, s.sentence) for s in SETTINGS
    ]
    print_table(("setting", "value", "default", "meaning"), rows, as_json=as_json)


def environment_file() -> str:
    """Every setting of the table, with its sentence and its default, commented out."""
    return "\n".join([_HEAD, *map(_entry, SETTINGS)])


def _entry(setting: Setting) -> str:
    sentence = textwrap.fill(
        setting.sentence,
        width=100,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{sentence}\n#{setting.variable}={setting.default}\n"
