"""Verbs that run the gateway: serve, dev."""

import asyncio
import os
import socket
from pathlib import Path

import click

from gateway.cli.context import app_folder, app_name, load_settings, manifest_or_default
from gateway.cli.database import database_url
from gateway.cli.options import app_option
from gateway.cli.output import echo, echo_error
from gateway.runtime import log
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.descriptors import raise_limit
from gateway.runtime.errors import OperatorError
from gateway.serve import capacity, server
from gateway.serve.service_manager import ServiceManager
from gateway.serve.supervisor import Supervisor
from gateway.serve.supervisor_link import SupervisorLink
from gateway.settings import Settings

OTHER_DESCRIPTORS = 100
"""Descriptors of a worker that are not clients: the database, files, the admin port."""


@click.command
@click.argument(
    "manifest",
    metavar="[MANIFEST]",
    type=click.Path(path_type=Path),
    required=False,
    callback=manifest_or_default,
    help="A manifest file, or a folder of them; by default that of the application folder.",
)
@app_option
@click.option("--port", type=int, help="Overrides GATEWAY_PORT.")
@click.option(
    "--database-url",
    metavar="URL",
    help="Serve this database instead of the embedded one, without demo data; nothing in it is "
    "deleted.",
)
@click.option("--reset", is_flag=True, help="Delete the embedded database first.")
def dev(manifest: Path, *, port: int | None, database_url: str | None, reset: bool) -> None:
    """Serve with an embedded PostgreSQL and demo data; apply the manifest again on each save.

    The database is in the folder of GATEWAY_DATA_DIR, `.gateway` by default.

    Example: `gateway dev --port 8080`
    """
    if reset and database_url:
        raise OperatorError("--reset deletes the embedded database: omit --database-url")
    try:
        from gateway.dev import run as development  # noqa: PLC0415 - an extra, not in production
    except ImportError as error:
        raise OperatorError(
            f"{error.name} is not installed: install the gateway with its extra `dev`, in a "
            "checkout with `pip install '.[dev]'`"
        ) from error
    log.write_in_thread()
    environment = dict(os.environ)
    for name in ("GATEWAY_DATABASE_URL", "GATEWAY_LISTEN_DATABASE_URL"):
        _ignore(name, environment)
    settings = load_settings(environment, port=port, database_url=database_url, check_returns="all")
    development.run(settings, app_folder(), manifest, echo, reset=reset)


def _ignore(name: str, environment: dict[str, str]) -> None:
    """Remove a database address from the environment, since it may be that of production."""
    for variable in (name, f"{name}_FILE"):
        if environment.pop(variable, ""):
            echo_error(
                f"{variable} is not used: gateway dev serves its own embedded database; "
                "--database-url names another one, which gets no demo data and loses no data"
            )


@click.command
@app_option
@click.option("--host", help="Overrides GATEWAY_HOST.")
@click.option("--port", type=int, help="Overrides GATEWAY_PORT.")
@click.option("--workers", type=int, help="Overrides GATEWAY_WORKERS.")
@click.option("--worker", "inherited", type=(int, int, int, int), hidden=True)
def serve(
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    inherited: tuple[int, int, int, int] | None,
) -> None:
    """Serve the registry in GATEWAY_DATABASE_URL until SIGTERM.

    Example: `gateway serve --host 0.0.0.0 --port 8000 --workers 2`
    """
    log.write_in_thread()
    settings = load_settings(host=host, port=port, workers=workers, app=app_name())
    database_url(settings)  # it must be set
    if inherited:
        worker_index, public, private, link = inherited
        listener, admin = socket.socket(fileno=public), socket.socket(fileno=private)
        server.run(settings, listener, admin, worker_index, SupervisorLink(link))
        return
    _warn_of_connections(settings)
    _warn_of_descriptors(settings)
    listener, admin = server.listen(settings.host, settings.port), server.listen_admin(settings)
    app = AppFolder.find(settings.app)
    echo_error(
        f"serving on {server.url(listener)} (admin on {server.url(admin)}; "
        f"services of {app.path.resolve()})"
    )
    if settings.workers == 1:
        server.run(settings, listener, admin, link=ServiceManager.take(os.environ))
    else:
        changes = {"GATEWAY_APP": settings.app}
        Supervisor(listener, admin, settings.workers, changes, settings.hang_timeout).run()


def _warn_of_descriptors(settings: Settings) -> None:
    """Warn if a worker has fewer descriptors than the connections that its settings allow."""
    limit = raise_limit()
    wanted = settings.max_in_flight + settings.max_bodies + OTHER_DESCRIPTORS
    if 0 <= limit < wanted:
        echo_error(
            f"warning: a worker may need {wanted} open files, but the limit is {limit}: raise it "
            "(LimitNOFILE of systemd, ulimits of compose), or lower GATEWAY_MAX_IN_FLIGHT and "
            "GATEWAY_MAX_BODIES"
        )


def _warn_of_connections(settings: Settings) -> None:
    """Warn if all workers together may open more connections than the server accepts.

    Not an error: few fleets use all that they may.
    """
    shortage = asyncio.run(capacity.find_shortage(settings))
    if shortage:
        workers = settings.workers + shortage.others
        who = "one worker opens" if workers == 1 else f"{workers} workers open"
        if shortage.others:
            who = f"{workers} workers ({shortage.others} of them run already) open"
        echo_error(
            f"warning: {who} up to {shortage.connections} connections to the server of "
            f"the database, which accepts {shortage.limit}: raise its max_connections, lower "
            "GATEWAY_DATABASE_CONNECTIONS or GATEWAY_WORKERS, or connect through a pooler"
        )
