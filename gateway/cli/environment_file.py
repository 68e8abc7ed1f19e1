"""The settings as an environment file, which systemd and containers read."""

import textwrap

from gateway.settings import SETTINGS, Setting

_HEAD = """\
# The gateway's settings, each with its default. Made by `gateway config --env`.
# To change one, remove the # before its name.
# `gateway serve` needs GATEWAY_DATABASE_URL; everything else may stay as it is.
"""


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
