"""`gateway dev`: an embedded PostgreSQL, demo data, mail that is not sent, reload on save."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

from gateway.database.connect import Connection, connect
from gateway.database.migrate import MigrationError, find_all, migrate
from gateway.dev import demo, example, mandrill
from gateway.dev.interrupts import Interrupts
from gateway.dev.postgres import Cluster
from gateway.dev.reload import Reloader
from gateway.runtime.app_folder import AppFolder
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings

LOAD_TIMEOUT = 60.0
"""Seconds that the greeting waits for the worker to load the registry."""

CONSOLE = "/-/console"


Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The URLs of a running `gateway dev`; `mail` is None if mail is really sent."""

    public: str
    admin: str
    mail: str | None


def run(settings: Settings, app: AppFolder, manifest: Path, echo: Echo, *, reset: bool) -> None:
    """Serve until interrupted, on an embedded PostgreSQL unless the settings name a database.

    `echo` prints a line for the developer; `reset` deletes the embedded database first. Raises
    EmbeddedError, ServeError, ManifestError, MigrationError, DemoError, DatabaseUnavailable.
    """
    with (
        Interrupts() as interrupts,
        contextlib.closing(server.listen(settings.host, settings.port)) as listener,
        contextlib.closing(server.listen_admin(settings)) as admin,
        contextlib.closing(server.listen("127.0.0.1", 0)) as mail,
    ):
        folder = Path(settings.data_dir)
        if reset and Cluster(folder).reset():
            echo(f"deleted the database in {folder}")
        with (
            _with_database(with_mail_stand_in(settings, mail)) as complete,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            is_embedded = not settings.database_url
            dev = _DevServer(complete, app, Reloader(complete.database_url, app, manifest, echo))
            runner.run(dev.run(listener, admin, mail, interrupts, is_embedded=is_embedded))


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

    def __init__(self, settings: Settings, app: AppFolder, reloader: Reloader) -> None:
        self._settings = settings
        self._app = app
        self._reloader = reloader
        self._echo = reloader.echo
        self._dev_file = Path(settings.data_dir) / "dev.json"

    async def run(
        self,
        listener: socket.socket,
        admin: socket.socket,
        mail: socket.socket,
        interrupts: Interrupts,
        *,
        is_embedded: bool,
    ) -> None:
        tokens = await self._prepare(is_embedded=is_embedded)
        addresses = self._addresses(listener, admin, mail)
        self._write_dev_file(addresses, tokens)
        worker = interrupts.worker = Worker(self._settings, self._reloader.actions)
        greeting = self._greeting(addresses, tokens)
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

    def _addresses(
        self, listener: socket.socket, admin: socket.socket, mail: socket.socket
    ) -> Addresses:
        stand_in = server.url(mail)
        is_used = self._settings.mandrill_url == stand_in + mandrill.API
        return Addresses(
            public=server.url(listener),
            admin=server.url(admin),
            mail=stand_in if is_used else None,
        )

    async def _prepare(self, *, is_embedded: bool) -> dict[str, str]:
        """Migrate, apply the manifest and insert the demo data; return the demo's tokens.

        Another database than the embedded one gets no demo data, and nothing in it is deleted.
        """
        connection = await connect(self._settings.database_url)
        try:
            await self._migrate(connection, is_embedded=is_embedded)
            # The demo's tokens belong to an application of the manifest.
            await self._reloader.start(connection, prune=is_embedded)
            return await self._fill(connection) if is_embedded else {}
        finally:
            await connection.close()

    async def _migrate(self, connection: Connection, *, is_embedded: bool) -> None:
        try:
            for name in await migrate(connection, find_all(self._app)):
                self._echo(f"applied {name}")
        except MigrationError as error:
            if not is_embedded:
                raise
            raise MigrationError(
                f"{error}\nThe database in {self._settings.data_dir} belongs to another "
                "application folder or version: `gateway dev --reset` deletes it and starts with "
                "an empty one."
            ) from error

    async def _fill(self, connection: Connection) -> dict[str, str]:
        own = [state.namespace for state in self._reloader.desired]
        if others := await demo.other_namespaces(connection, own):
            self._echo(
                f"warning: {', '.join(others)}: namespaces of an earlier start are served too; "
                "`gateway dev --reset` starts with an empty database"
            )
        return await demo.fill(
            connection, self._previous_tokens(), self._app, self._reloader.application
        )

    async def _greet(self, worker: Worker, greeting: str) -> None:
        await worker.registry.wait_loaded(LOAD_TIMEOUT)
        self._echo(greeting)

    def _greeting(self, addresses: Addresses, tokens: dict[str, str]) -> str:
        mail = (
            f"Mail is not sent; read it at {addresses.mail}"
            if addresses.mail
            else f"Mail is sent through {self._settings.mandrill_url}"
        )
        url = addresses.public
        lines = [
            f"\nThe Plano gateway is ready: {url}   (admin on {addresses.admin}; Ctrl-C stops it)",
            *([_console_line(addresses)] if tokens else []),
            f"Addresses and demo tokens: {self._dev_file}",
            mail,
            *([] if tokens else [self._without_tokens()]),
        ]
        command = example.curl(
            url,
            self._reloader.desired,
            self._reloader.actions.names(),
            application=self._reloader.application,
            token=tokens.get("employee"),
        )
        return "\n".join([*lines, *(["\nTry it:\n", command, ""] if command else [])])

    def _without_tokens(self) -> str:
        if self._reloader.application is None:
            return "There are no demo tokens, since the manifest declares no application."
        return "There are no demo users and tokens: they exist in the embedded database alone."

    def _previous_tokens(self) -> dict[str, str]:
        """The demo's tokens in `dev.json`; the database has only their hashes."""
        try:
            tokens: dict[str, str] = orjson.loads(self._dev_file.read_bytes())["tokens"]
        except (OSError, ValueError, KeyError):
            return {}
        return tokens

    def _write_dev_file(self, addresses: Addresses, tokens: dict[str, str]) -> None:
        """Write `dev.json`, readable for its owner alone: it holds tokens."""
        document: dict[str, Any] = {
            "url": addresses.public,
            "admin_url": addresses.admin,
            "console_url": addresses.admin + CONSOLE,
            "mail_url": addresses.mail,
            "database_url": self._settings.database_url,
            "tokens": tokens,
        }
        self._dev_file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._dev_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def _console_line(addresses: Addresses) -> str:
    who = f"{demo.OPERATOR}, {demo.PASSWORD}"
    return f"Console: {addresses.admin}{CONSOLE}   (sign in as {who})"
