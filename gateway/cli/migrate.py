"""The verb migrate."""

import click

from gateway.cli.database import with_database
from gateway.cli.output import echo
from gateway.database.migrate import find_all, migrate


@click.command
def run_migrations() -> None:
    """Create or update the gateway's tables: apply the migrations that are not applied yet.

    Example: `GATEWAY_DATABASE_URL=postgresql://… gateway migrate`
    """
    applied = with_database(lambda connection: migrate(connection, find_all()))
    for name in applied:
        echo(f"applied {name}")
    echo(f"{len(applied)} migrations applied" if applied else "up to date")
