"""`gateway dev`: embedded PostgreSQL, demo data, mail that stays here, routes applied on save."""

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
import watchfiles

from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate, package_folder
from gateway.dev import demo, mandrill
from gateway.dev.postgres import Cluster
from gateway.manifest.apply import Applied, Author, apply_all
from gateway.manifest.check import check, warnings, watched_folders
from gateway.manifest.read import ManifestError
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.upstreams import python
from gateway.upstreams.python import Actions

ACTOR = "gateway dev"
ANY_NUMBER = 10**9


def run(settings: Settings, manifest: Path, say: Callable[[str], None]) -> None:
    """Serve until interrupted, on an embedded PostgreSQL unless the settings name a database.

    Raises EmbeddedError, ServeError, ManifestError, MigrationError, DatabaseUnavailable.
    """
    folder = Path(settings.data_dir)
    # Until uvicorn listens to them both signals are Ctrl-C and stop the database on their way out,
    # also where a shell has put us into the background and told us to ignore SIGINT.
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.default_int_handler)
    with (
        contextlib.closing(server.listen(settings.host, settings.port)) as listener,
        contextlib.closing(server.listen_admin(settings)) as admin,
        contextlib.closing(server.listen("127.0.0.1", 0)) as mail,
        _database(_mailing_to(mail, settings), folder) as ready,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_Dev(ready, manifest, say).run(listener, admin, mail))


def _mailing_to(mail: socket.socket, settings: Settings) -> Settings:
    """Send mail to the stand-in on a socket, unless the environment names another Mandrill."""
    if settings.mandrill_api_key or settings.mandrill_url != Settings.load({}).mandrill_url:
        return settings
    return replace(
        settings, mandrill_url=server.url(mail) + mandrill.API, mandrill_api_key="stand-in"
    )


@contextlib.contextmanager
def _database(settings: Settings, folder: Path) -> Iterator[Settings]:
    if settings.database_url:
        yield settings
        return
    with Cluster(folder) as cluster:
        url = cluster.url()
        yield replace(settings, database_url=url, listen_database_url=url)


def _is_source(_: watchfiles.Change, path: str) -> bool:
    # A new folder is worth a look too: its first file comes before anybody watches it.
    return Path(path).suffix in {".yaml", ".yml", ".json", ".py", ".sql"} or Path(path).is_dir()


class _Dev:
    """One run of `gateway dev`."""

    def __init__(self, settings: Settings, manifest: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._manifest = manifest
        self._say = say
        self._file = Path(settings.data_dir) / "dev.json"

    async def run(self, listener: socket.socket, admin: socket.socket, mail: socket.socket) -> None:
        tokens = await self._prepare()
        self._write_down(server.url(listener), tokens)
        worker = Worker(self._settings)
        watching = asyncio.create_task(self._watch(worker))
        urls = (server.url(listener), server.url(admin), server.url(mail))
        greeting = asyncio.create_task(self._greet(worker, urls, tokens))
        try:
            async with server.beside(mandrill.StandIn().app, mail):
                await server.serve(worker, self._settings, listener, admin)
        finally:
            for task in (watching, greeting):
                task.cancel()
            await asyncio.gather(watching, greeting, return_exceptions=True)

    async def _prepare(self) -> dict[str, str]:
        """Migrate, fill in the demo data and apply the routes; answer the demo's tokens."""
        connection = await connect(self._settings.database_url)
        try:
            for name in await migrate(connection, find_all()):
                self._say(f"migrated {name}")
            tokens = await demo.fill(connection, self._known_tokens())
            await self._apply(connection)
        finally:
            await connection.close()
        return tokens

    async def _apply(self, connection: Connection) -> None:
        """Apply every namespace of the manifest; what it no longer has goes."""
        desired = check(self._manifest)
        author = Author(ACTOR, source=str(self._manifest))
        for done in await apply_all(
            connection, desired, author, prune=True, max_deletes=ANY_NUMBER
        ):
            self._tell(done)
        for warning in warnings(desired, Actions.load().names()):
            self._say(f"warning: {warning}")

    def _tell(self, applied: Applied) -> None:
        for change in applied.changes:
            self._say(f"{applied.namespace}: {change.verb} {change.kind} {change.name}")
        if applied.changes:
            self._say(f"{applied.namespace}: revision {applied.revision}")

    async def _watch(self, worker: Worker) -> None:
        """On each save import the services anew and apply the manifest; a mistake is only told."""
        while True:
            folders = self._folders()
            async for _ in watchfiles.awatch(
                *folders, watch_filter=_is_source, debounce=200, step=50, recursive=False
            ):
                await self._reload(worker)
                if self._folders() != folders:
                    break

    def _folders(self) -> list[Path]:
        return [*watched_folders(self._manifest), package_folder("services")]

    async def _reload(self, worker: Worker) -> None:
        try:
            python.reload()
            worker.use(Actions.load())
            connection = await connect(self._settings.database_url)
            try:
                await self._apply(connection)
            finally:
                await connection.close()
        except ManifestError as error:
            self._say(f"not applied:\n{error}")
        except Exception as error:  # noqa: BLE001 - the code under edit may raise anything
            self._say(f"not reloaded: {type(error).__name__}: {error}")

    async def _greet(
        self, worker: Worker, urls: tuple[str, str, str], tokens: dict[str, str]
    ) -> None:
        await worker.registry.wait_loaded(60)
        url, admin, mail = urls
        body = {"order_id": 7, "update_status": True, "stage": "scheduled"}
        example = orjson.dumps({"token": tokens["employee"], **body}).decode()
        self._say(
            f"\nPlano gateway is ready: {url}   (admin on {admin}; stop with Ctrl-C)\n"
            f"Tokens and addresses: {self._file}\n{self._where_mail_goes(mail)}\n\nTry it:\n\n"
            f"curl -s {url}/api/v1/order_stages/create \\\n"
            f"  -H 'Content-Type: application/json' \\\n  -d '{example}'\n"
        )

    def _where_mail_goes(self, stand_in: str) -> str:
        if self._settings.mandrill_url == stand_in + mandrill.API:
            return f"Mail goes to {stand_in} , see it there"
        return f"Mail goes to {self._settings.mandrill_url}"

    def _known_tokens(self) -> dict[str, str]:
        try:
            tokens: dict[str, str] = orjson.loads(self._file.read_bytes())["tokens"]
        except (OSError, ValueError, KeyError):
            return {}
        return tokens

    def _write_down(self, url: str, tokens: dict[str, str]) -> None:
        """Write `dev.json`, for the owner's eyes alone: it holds tokens."""
        document = {"url": url, "database_url": self._settings.database_url, "tokens": tokens}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
