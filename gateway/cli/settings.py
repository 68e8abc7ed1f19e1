"""The verb config: the settings as a table, or as an environment file."""

import textwrap

import click

from gateway.cli.context import load_settings
from gateway.cli.options import json_option
from gateway.cli.output import print_table
from gateway.runtime.setting import Setting
from gateway.settings import SETTINGS, masked

_HEAD = """\
# The gateway's settings with their defaults, as `gateway config --env` prints them.
# To change a setting, remove the # before its name.
# `gateway serve` needs GATEWAY_DATABASE_URL; every other setting is optional.
"""


@click.command
@click.option("--env", is_flag=True, help="Print an environment file instead.")
@json_option
def show_settings(*, env: bool, as_json: bool) -> None:
    """Show every setting with its value; secrets are masked.

    Example: `gateway config --env > gateway.env`
    """
    if env:
        click.echo(environment_file(), nl=False)
        return
    settings = load_settings()
    rows = [
        (s.variable, masked(s, getattr(settings, s.name)), s.default, s.meaning) for s in SETTINGS
    ]
    print_table(("setting", "value", "default", "meaning"), rows, as_json=as_json)


def environment_file() -> str:
    """The text of an environment file: every setting with its default, commented out."""
    return "\n".join([_HEAD, *map(_entry, SETTINGS)])


def _entry(setting: Setting) -> str:
    meaning = textwrap.fill(
        setting.meaning,
        width=100,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{meaning}\n#{setting.variable}={setting.default}\n"
