"""Verbs that run the gateway and look after it."""

import asyncio
import getpass
import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import statuses
from gateway.cli.environment_file import environment_file
from gateway.cli.output import echo_error, say, table
from gateway.database import capacity
from gateway.database.connect import Connection, connect
from gateway.database.errors import DatabaseUnavailable, translate_errors
from gateway.database.migrate import find_all, migrate
from gateway.runtime import log
from gateway.serve import server
from gateway.serve.supervisor import Supervisor
from gateway.serve.worker import max_connections
from gateway.settings import SETTINGS, SettingError, Settings, shown, unknown

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command("dev")(dev)
    app.command("serve")(serve)
    app.command("migrate")(run_migrations)
    app.command("statuses")(list_statuses)
    app.command("config")(config)


def settings(**changes: Any) -> Settings:  # noqa: ANN401 - values of options
    """The settings of this process; options that were given win."""
    given = {f"GATEWAY_{name.upper()}": str(v) for name, v in changes.items() if v is not None}
    loaded = Settings.load({**os.environ, **given})
    log.configure(loaded.log_level)
    for name in unknown(os.environ):
        echo_error(f"warning: {name} is not a setting; `gateway config` lists them")
    return loaded


def database_url(loaded: Settings) -> str:
    """The database of a command that needs one. Raises SettingError."""
    if not loaded.database_url:
        message = (
            "GATEWAY_DATABASE_URL is not set: name a PostgreSQL database, or use `gateway dev`, "
            "which starts one and writes its address to .gateway/dev.json"
        )
        raise SettingError(message)
    return loaded.database_url


def dev(
    manifest: Annotated[Path, typer.Argument(help="The routes to serve.")] = Path("routes.yaml"),
    port: Annotated[int | None, typer.Option(help="Instead of GATEWAY_PORT.")] = None,
) -> None:
    """Serve with an embedded PostgreSQL and demo data, and re-apply the routes on save.

    Example: `gateway dev --port 8080`
    """
    try:
        from gateway.dev import run as development  # noqa: PLC0415 - an extra, not in production
    except ImportError as error:
        missing = f"{error.name} is not installed: pip install 'plano-gateway[dev]'"
        raise SettingError(missing) from error
    development.run(settings(port=port), manifest, say)


def serve(
    host: Annotated[str | None, typer.Option(help="Instead of GATEWAY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of GATEWAY_PORT.")] = None,
    workers: Annotated[int | None, typer.Option(help="Instead of GATEWAY_WORKERS.")] = None,
    inherited: Annotated[tuple[int, int, int] | None, typer.Option("--worker", hidden=True)] = None,
) -> None:
    """Serve the registry of GATEWAY_DATABASE_URL until SIGTERM.

    Example: `gateway serve --host 0.0.0.0 --port 8000 --workers 2`
    """
    loaded = settings(host=host, port=port, workers=workers)
    database_url(loaded)
    if inherited:
        place, public, private = inherited
        listener, admin = socket.socket(fileno=public), socket.socket(fileno=private)
        server.run(loaded, listener, admin, place)
        return
    _warn_of_connections(loaded)
    listener, admin = server.listen(loaded.host, loaded.port), server.listen_admin(loaded)
    echo_error(f"serving on {server.url(listener)} (admin on {server.url(admin)})")
    if loaded.workers == 1:
        server.run(loaded, listener, admin)
    else:
        Supervisor(listener, admin, loaded.workers).run()


def _warn_of_connections(loaded: Settings) -> None:
    """Warn if the workers may open more connections than the server takes; a pooler takes more."""
    wanted = loaded.workers * max_connections(loaded)
    allowed = asyncio.run(capacity.exceeded_limit(loaded.database_url, wanted))
    if allowed is not None:
        workers = loaded.workers
        who = "one worker opens" if workers == 1 else f"{workers} workers open"
        echo_error(
            f"warning: {who} up to {wanted} connections, and the server "
            f"takes {allowed}: raise its max_connections, or lower GATEWAY_DATABASE_CONNECTIONS or "
            "GATEWAY_WORKERS, unless a pooler stands between"
        )


def run_migrations() -> None:
    """Bring the database's tables up to date; what was applied before is left alone.

    Example: `GATEWAY_DATABASE_URL=postgresql://… gateway migrate`
    """

    async def work(connection: Connection) -> list[str]:
        return await migrate(connection, find_all())

    applied = with_database(work)
    for name in applied:
        say(f"applied {name}")
    say(f"{len(applied)} migrations applied" if applied else "up to date")


def list_statuses(*, as_json: Json = False) -> None:
    """List every status that the gateway can answer, in the order of the pipeline.

    Example: `gateway statuses --json`
    """
    rows = [(s.slug, s.http, s.stage, s.fault, s.meaning) for s in statuses.catalogue()]
    table(("status", "http", "stage", "fault", "meaning"), rows, as_json=as_json)


def config(
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
    loaded = settings()
    rows = [
        (s.variable, shown(s, getattr(loaded, s.name)), s.default, s.sentence) for s in SETTINGS
    ]
    table(("setting", "value", "default", "meaning"), rows, as_json=as_json)


def person() -> str:
    """Whoever is at the keyboard; a container may have no name for its user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def with_database(work: Any) -> Any:  # noqa: ANN401 - whatever the work answers
    """Run some work on one connection to the database."""

    async def run() -> Any:  # noqa: ANN401
        connection = await connect(database_url(settings()))
        try:
            with translate_errors(connection):
                return await work(connection)
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"the database cannot be used: {error}") from error
