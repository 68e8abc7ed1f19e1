"""`gateway dev`: an embedded PostgreSQL, demo data, mail that is not sent, reload on save."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import uvloop

from gateway.database.connect import connect
from gateway.database.migrate import find_all, migrate
from gateway.dev import demo, mandrill
from gateway.dev.postgres import Cluster
from gateway.dev.reload import Reloader
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings

LOAD_TIMEOUT = 60.0
"""Seconds that the greeting waits for the worker to load the registry."""


def run(settings: Settings, manifest: Path, echo: Callable[[str], None]) -> None:
    """Serve until interrupted, on an embedded PostgreSQL unless the settings name a database.

    `echo` prints a line for the developer. Raises EmbeddedError, ServeError, ManifestError,
    MigrationError, DatabaseUnavailable.
    """
    # Until uvicorn handles them, both signals raise KeyboardInterrupt, which stops the database on
    # its way out; also where a shell in the background made this process ignore SIGINT.
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.default_int_handler)
    with (
        contextlib.closing(server.listen(settings.host, settings.port)) as listener,
        contextlib.closing(server.listen_admin(settings)) as admin,
        contextlib.closing(server.listen("127.0.0.1", 0)) as mail,
        _with_database(with_mail_stand_in(settings, mail)) as complete,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_DevServer(complete, manifest, echo).run(listener, admin, mail))


def with_mail_stand_in(settings: Settings, mail: socket.socket) -> Settings:
    """Settings that send mail to the stand-in on a socket, unless they name another Mandrill."""
    if settings.mandrill_api_key or settings.mandrill_url != Settings.load({}).mandrill_url:
        return settings
    return replace(
        settings, mandrill_url=server.url(mail) + mandrill.API, mandrill_api_key="stand-in"
    )


@contextlib.contextmanager
def _with_database(settings: Settings) -> Iterator[Settings]:
    """Settings that name a database: for the length of the block an embedded one, if need be."""
    if settings.database_url:
        yield settings
        return
    with Cluster(Path(settings.data_dir)) as cluster:
        url = cluster.url()
        yield replace(settings, database_url=url, listen_database_url=url)


class _DevServer:
    """One run of `gateway dev`."""

    def __init__(self, settings: Settings, manifest: Path, echo: Callable[[str], None]) -> None:
        self._settings = settings
        self._echo = echo
        self._reloader = Reloader(settings.database_url, manifest, echo)
        self._dev_file = Path(settings.data_dir) / "dev.json"

    async def run(self, listener: socket.socket, admin: socket.socket, mail: socket.socket) -> None:
        tokens = await self._prepare()
        self._write_dev_file(server.url(listener), tokens)
        worker = Worker(self._settings)
        greeting = self._greeting(
            url=server.url(listener), admin=server.url(admin), mail=server.url(mail), tokens=tokens
        )
        tasks = [
            asyncio.create_task(self._reloader.watch(worker)),
            asyncio.create_task(self._greet(worker, greeting)),
        ]
        try:
            async with server.beside(mandrill.StandIn().app, mail):
                await server.serve(worker, self._settings, listener, admin)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(self) -> dict[str, str]:
        """Migrate, insert the demo data and apply the manifest; return the demo's tokens."""
        connection = await connect(self._settings.database_url)
        try:
            for name in await migrate(connection, find_all()):
                self._echo(f"applied {name}")
            # The demo's tokens belong to an application of the manifest.
            await self._reloader.apply(connection)
            tokens = await demo.fill(connection, self._previous_tokens())
        finally:
            await connection.close()
        return tokens

    async def _greet(self, worker: Worker, greeting: str) -> None:
        await worker.registry.wait_loaded(LOAD_TIMEOUT)
        self._echo(greeting)

    def _greeting(self, *, url: str, admin: str, mail: str, tokens: dict[str, str]) -> str:
        params = {"order_id": 7, "update_status": True, "stage": "scheduled"}
        body = orjson.dumps({"token": tokens["employee"], **params}).decode()
        return (
            f"\nThe Plano gateway is ready: {url}   (admin on {admin}; Ctrl-C stops it)\n"
            f"Addresses and demo tokens: {self._dev_file}\n"
            f"{self._mail_line(mail)}\n\n"
            "Try it:\n\n"
            f"curl -s {url}/api/v1/order_stages/create \\\n"
            f"  -H 'Content-Type: application/json' \\\n  -d '{body}'\n"
        )

    def _mail_line(self, stand_in: str) -> str:
        if self._settings.mandrill_url == stand_in + mandrill.API:
            return f"Mail is not sent; read it at {stand_in}"
        return f"Mail is sent through {self._settings.mandrill_url}"

    def _previous_tokens(self) -> dict[str, str]:
        """The demo's tokens in `dev.json`; the database has only their hashes."""
        try:
            tokens: dict[str, str] = orjson.loads(self._dev_file.read_bytes())["tokens"]
        except (OSError, ValueError, KeyError):
            return {}
        return tokens

    def _write_dev_file(self, url: str, tokens: dict[str, str]) -> None:
        """Write `dev.json`, readable for its owner alone: it holds tokens."""
        document = {"url": url, "database_url": self._settings.database_url, "tokens": tokens}
        self._dev_file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._dev_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
