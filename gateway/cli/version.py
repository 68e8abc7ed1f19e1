"""The option `--version` of the command itself."""

from importlib.metadata import version
from typing import Annotated

import typer

from gateway.cli.output import echo

DISTRIBUTION = "plano-gateway"


def add_to(app: typer.Typer) -> None:
    """Add the option to the command."""
    app.callback()(options)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - click passes the option's value
    if wanted:
        echo(f"{DISTRIBUTION} {version(DISTRIBUTION)}")
        raise typer.Exit


def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version of the installed gateway.",
        ),
    ] = False,
) -> None:
    """Options that stand before a command."""
