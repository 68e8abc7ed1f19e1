"""Verbs that run the gateway: serve, dev."""

import asyncio
import socket
from pathlib import Path

import click

from gateway.cli.context import load_settings
from gateway.cli.database import database_url
from gateway.cli.output import echo, echo_error
from gateway.database import capacity
from gateway.runtime.errors import OperatorError
from gateway.serve import server
from gateway.serve.supervisor import Supervisor
from gateway.serve.worker import max_connections
from gateway.settings import Settings


@click.command
@click.argument(
    "manifest",
    metavar="[MANIFEST]",
    type=click.Path(path_type=Path),
    default="routes.yaml",
    help="A manifest file, or a folder of them; routes.yaml by default.",
)
@click.option("--port", type=int, help="Overrides GATEWAY_PORT.")
def dev(manifest: Path, *, port: int | None) -> None:
    """Serve with an embedded PostgreSQL and demo data; apply the manifest again on each save.

    Example: `gateway dev --port 8080`
    """
    try:
        from gateway.dev import run as development  # noqa: PLC0415 - an extra, not in production
    except ImportError as error:
        message = f"{error.name} is not installed: run `pip install 'plano-gateway[dev]'`"
        raise OperatorError(message) from error
    development.run(load_settings(port=port), manifest, echo)


@click.command
@click.option("--host", help="Overrides GATEWAY_HOST.")
@click.option("--port", type=int, help="Overrides GATEWAY_PORT.")
@click.option("--workers", type=int, help="Overrides GATEWAY_WORKERS.")
@click.option("--worker", "inherited", type=(int, int, int), hidden=True)
def serve(
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    inherited: tuple[int, int, int] | None,
) -> None:
    """Serve the registry in GATEWAY_DATABASE_URL until SIGTERM.

    Example: `gateway serve --host 0.0.0.0 --port 8000 --workers 2`
    """
    settings = load_settings(host=host, port=port, workers=workers)
    url = database_url(settings)
    if inherited:
        worker_index, public, private = inherited
        listener, admin = socket.socket(fileno=public), socket.socket(fileno=private)
        server.run(settings, listener, admin, worker_index)
        return
    _warn_of_connections(url, settings)
    listener, admin = server.listen(settings.host, settings.port), server.listen_admin(settings)
    echo_error(f"serving on {server.url(listener)} (admin on {server.url(admin)})")
    if settings.workers == 1:
        server.run(settings, listener, admin)
    else:
        Supervisor(listener, admin, settings.workers).run()


def _warn_of_connections(url: str, settings: Settings) -> None:
    """Warn if the workers may open more connections than the server accepts.

    Not an error: a pooler in between accepts more.
    """
    workers = settings.workers
    wanted = workers * max_connections(settings)
    limit = asyncio.run(capacity.exceeded_limit(url, wanted))
    if limit is not None:
        who = "one worker opens" if workers == 1 else f"{workers} workers open"
        echo_error(
            f"warning: {who} up to {wanted} database connections, but the server accepts {limit}: "
            "raise its max_connections, lower GATEWAY_DATABASE_CONNECTIONS or GATEWAY_WORKERS, "
            "or connect through a pooler"
        )
