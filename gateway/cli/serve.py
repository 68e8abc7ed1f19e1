"""Verbs that run the gateway: serve, dev."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import load_settings
from gateway.cli.database import database_url
from gateway.cli.output import echo, echo_error
from gateway.database import capacity
from gateway.serve import server
from gateway.serve.supervisor import Supervisor
from gateway.serve.worker import max_connections
from gateway.settings import SettingError, Settings


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
    development.run(load_settings(port=port), manifest, echo)


def serve(
    host: Annotated[str | None, typer.Option(help="Instead of GATEWAY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of GATEWAY_PORT.")] = None,
    workers: Annotated[int | None, typer.Option(help="Instead of GATEWAY_WORKERS.")] = None,
    inherited: Annotated[tuple[int, int, int] | None, typer.Option("--worker", hidden=True)] = None,
) -> None:
    """Serve the registry of GATEWAY_DATABASE_URL until SIGTERM.

    Example: `gateway serve --host 0.0.0.0 --port 8000 --workers 2`
    """
    settings = load_settings(host=host, port=port, workers=workers)
    database_url(settings)
    if inherited:
        worker_index, public, private = inherited
        listener, admin = socket.socket(fileno=public), socket.socket(fileno=private)
        server.run(settings, listener, admin, worker_index)
        return
    _warn_of_connections(settings)
    listener, admin = server.listen(settings.host, settings.port), server.listen_admin(settings)
    echo_error(f"serving on {server.url(listener)} (admin on {server.url(admin)})")
    if settings.workers == 1:
        server.run(settings, listener, admin)
    else:
        Supervisor(listener, admin, settings.workers).run()


def _warn_of_connections(settings: Settings) -> None:
    """Warn if the workers may open more connections than the server takes; a pooler takes more."""
    wanted = settings.workers * max_connections(settings)
    allowed = asyncio.run(capacity.exceeded_limit(settings.database_url, wanted))
    if allowed is not None:
        workers = settings.workers
        who = "one worker opens" if workers == 1 else f"{workers} workers open"
        echo_error(
            f"warning: {who} up to {wanted} connections, and the server "
            f"takes {allowed}: raise its max_connections, or lower GATEWAY_DATABASE_CONNECTIONS or "
            "GATEWAY_WORKERS, unless a pooler stands between"
        )
