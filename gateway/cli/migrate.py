"""The verb migrate."""

from gateway.cli.database import with_database
from gateway.cli.output import echo
from gateway.database.migrate import find_all, migrate


def run_migrations() -> None:
    """Bring the database's tables up to date; what was applied before is left alone.

    Example: `GATEWAY_DATABASE_URL=postgresql://… gateway migrate`
    """
    applied = with_database(lambda connection: migrate(connection, find_all()))
    for name in applied:
        echo(f"applied {name}")
    echo(f"{len(applied)} migrations applied" if applied else "up to date")
