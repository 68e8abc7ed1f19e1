"""A database for each test: a copy of a template, which is made once for all processes and runs."""

import asyncio
import base64
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson

from gateway.database.connect import Connection, connect
from gateway.database.migrate import find_all, migrate
from gateway.database.sql import load_queries
from gateway.dev import demo
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import Desired
from gateway.runtime import database_address
from gateway.runtime.app_folder import AppFolder

_SQL = load_queries(__file__)
_DEMO_SOURCES = (Path(demo.__file__), Path(demo.__file__).with_suffix(".sql"))
AUTHOR = Author("tests")


@dataclass(frozen=True)
class Content:
    """What a template holds: tables, the routes of `desired`, and with `has_demo` demo rows."""

    app: AppFolder
    desired: Sequence[Desired]
    has_demo: bool

    @property
    def application(self) -> str | None:
        """The application of the demo's tokens; None if the manifest declares none."""
        return demo.application_of(slug for state in self.desired for slug in state.applications)

    @property
    def tokens(self) -> dict[str, str]:
        """The demo's tokens by name: the same in each run, since a template outlives the run."""
        if not self.has_demo or self.application is None:
            return {}
        return {name: _token(name, prefix) for name, prefix in demo.PREFIXES.items()}

    @cached_property
    def digest(self) -> str:
        """A hash of everything that is put into the template."""
        records = [
            (s.namespace, s.applications, s.services, {n: r.record for n, r in s.routes.items()})
            for s in self.desired
        ]
        params = [[r.params for r in s.routes.values()] for s in self.desired]
        texts = [(each.name, each.text) for each in find_all(self.app)]
        parts = [records, params, texts, self.has_demo, *map(_digest, self._files())]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]

    def _files(self) -> Iterator[Path]:
        if self.has_demo:
            yield from (*_DEMO_SOURCES, self.app.services / "demo.sql")

    async def fill(self, connection: Connection) -> None:
        """Fill an empty database. Raises MigrationError, BrokenMigrationError and DemoError."""
        await migrate(connection, find_all(self.app))
        for state in self.desired:
            await apply(connection, state, AUTHOR)
        if self.has_demo:
            await demo.fill(connection, self.tokens, self.app, self.application)

    async def renew(self, connection: Connection) -> None:
        """Make the demo's sessions as old as they should be, in a template of an earlier run."""
        if self.tokens and self.application:
            await demo.renew_tokens(connection, self.tokens, self.application)


def _token(name: str, prefix: str) -> str:
    """A token that is always the same; only databases of tests have it."""
    digest = hashlib.sha256(f"tests: {name}".encode()).digest()
    return prefix + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


class Databases:
    """Makes and drops databases of the server of a connection; `address` is that of any of them.

    Processes that use the same server at the same time share its templates. All methods run in the
    loop that opened the connection.
    """

    def __init__(self, connection: Connection, address: str) -> None:
        self._connection = connection
        self._address = address
        self._ready: set[str] = set()
        # A database may be dropped while the next one is created.
        self._lock = asyncio.Lock()

    def url(self, name: str) -> str:
        """The address of a database."""
        return database_address.with_name(self._address, name)

    async def create(self, content: Content | None = None) -> str:
        """Create a database with this content, otherwise an empty one; return its address."""
        name = f"gateway_test_{time.time():.0f}_{uuid.uuid4().hex[:12]}"
        async with self._lock:
            template = "template0" if content is None else await self._template(content)
            await self._connection.execute(_SQL["lock_shared"])
            try:
                await self._copy(template, name)
            finally:
                await self._connection.execute(_SQL["unlock_shared"])
        return self.url(name)

    async def drop(self, url: str) -> None:
        """Drop a database, also if it is still in use."""
        async with self._lock:
            await self._drop(database_address.name_of(url))

    async def _copy(self, template: str, name: str) -> None:
        await self._connection.execute(f'create database "{name}" template "{template}"')

    async def _drop(self, name: str) -> None:
        await self._connection.execute(f'drop database if exists "{name}" with (force)')

    async def _on(self, name: str, work: Callable[[Connection], Awaitable[None]]) -> None:
        connection = await connect(self.url(name))
        try:
            await work(connection)
        finally:
            await connection.close()

    async def _template(self, content: Content) -> str:
        """The template of this content; made, or renewed, when this process first needs it."""
        name = f"gateway_template_{content.digest}"
        if name not in self._ready:
            await self._connection.execute(_SQL["lock"])
            try:
                await self._prepare(name, content)
                await self._connection.execute(
                    f"comment on database \"{name}\" is '{time.time():.0f}'"
                )
                for row in await self._connection.fetch(_SQL["outdated"]):
                    await self._drop(row["datname"])
            finally:
                await self._connection.execute(_SQL["unlock"])
            self._ready.add(name)
        return name

    async def _prepare(self, name: str, content: Content) -> None:
        if await self._connection.fetchval(_SQL["exists"], name):
            await self._on(name, content.renew)
            return
        # Under another name until it is complete.
        unfinished = f"gateway_test_{time.time():.0f}_{name[-16:]}"
        await self._copy("template0", unfinished)
        try:
            await self._on(unfinished, content.fill)
            await self._connection.execute(f'alter database "{unfinished}" rename to "{name}"')
        except BaseException:
            await self._drop(unfinished)
            raise
