"""The verb migrate."""

import click

from gateway.cli.context import app_folder
from gateway.cli.database import with_database
from gateway.cli.options import app_option
from gateway.cli.output import counted, echo
from gateway.database.migrate import find_all, migrate


@click.command
@app_option
def run_migrations() -> None:
    """Create or update the gateway's tables: apply the migrations that are not applied yet.

    The gateway's own migrations come first, then those in `services/migrations` of
    the application folder, then those of packages with an entry point in the group
    `gateway.services`.

    Example: `GATEWAY_DATABASE_URL=postgresql://… gateway migrate`
    """
    migrations = find_all(app_folder())
    applied = with_database(lambda connection: migrate(connection, migrations))
    for name in applied:
        echo(f"applied {name}")
    echo(f"{counted(len(applied), 'migration')} applied" if applied else "up to date")
