"""The verb migrate."""

import typer

from gateway.cli.database import with_database
from gateway.cli.output import say
from gateway.database.migrate import find_all, migrate


def add_to(app: typer.Typer) -> None:
    """Add this verb to the command."""
    app.command("migrate")(run_migrations)


def run_migrations() -> None:
    """Bring the database's tables up to date; what was applied before is left alone.

    Example: `GATEWAY_DATABASE_URL=postgresql://… gateway migrate`
    """
    applied = with_database(lambda connection: migrate(connection, find_all()))
    for name in applied:
        say(f"applied {name}")
    say(f"{len(applied)} migrations applied" if applied else "up to date")
