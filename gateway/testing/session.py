"""What the tests of one process share: the application, the PostgreSQL server, the loop."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

from gateway.database.connect import Connection, connect
from gateway.dev.mandrill import API, StandIn
from gateway.manifest.check import Desired, check
from gateway.runtime.app_folder import AppFolder
from gateway.serve import server
from gateway.testing.calls import Calls
from gateway.testing.command import serving_processes
from gateway.testing.databases import Content, Databases
from gateway.testing.inside import Gateway
from gateway.testing.local import Served, serving
from gateway.testing.loop_thread import LoopThread
from gateway.testing.outside import Outside
from gateway.testing.postgres import shared_server
from gateway.testing.routes import ManifestReader
from gateway.testing.views import Mail, Notifications, open_notifications
from gateway.upstreams.python import Actions

DATABASE_URL = "GATEWAY_TEST_DATABASE_URL"
"""The variable that names a server to use instead of the one that the package brings."""


class LocalGateway(Gateway):
    """A gateway in this process, with its mail and its notifications."""

    mail: Mail
    notifications: Notifications
    complaints: dict[str, str]


class Session:
    """A context manager; each part is made when it is first needed.

    `folder` is where the server's data stays between runs, if the environment names no server.
    """

    def __init__(self, *, app: Path, has_demo: bool, folder: Path) -> None:
        self._app_path = app
        self._has_demo = has_demo
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what was made."""
        if "loop" in vars(self):
            # What is still ending needs the server.
            self.loop.finish()
        self._stack.close()

    @cached_property
    def loop(self) -> LoopThread:
        """The loop in which gateways and connections run."""
        return self._stack.enter_context(closing(LoopThread()))

    @cached_property
    def app(self) -> AppFolder:
        """The application folder. Raises AppFolderError."""
        return AppFolder.find(str(self._app_path))

    @cached_property
    def content(self) -> Content:
        """What the databases of tests hold. Raises ManifestError."""
        return Content(self.app, check(self.app.manifest), self._has_demo)

    @cached_property
    def actions(self) -> Actions:
        """The application's services. Raises ServiceError."""
        return Actions.load(self.app)

    @cached_property
    def address(self) -> str:
        """The address of any database of the server. Raises EmbeddedError."""
        named = os.environ.get(DATABASE_URL, "").strip()
        return named or self._stack.enter_context(shared_server(self._folder))

    @cached_property
    def databases(self) -> Databases:
        """The databases of the server. Raises DatabaseUnavailable."""
        connection = self.loop.run(connect(self.address))
        self._stack.callback(lambda: self.loop.run(connection.close()))
        return Databases(connection, self.address)

    @contextmanager
    def database(self, content: Content | None = None) -> Iterator[str]:
        """The address of a database with this content, or of an empty one, for the block."""
        url = self.loop.run(self.databases.create(content))
        try:
            yield url
        finally:
            self.loop.run(self.databases.drop(url))

    @contextmanager
    def local(self) -> Iterator[LocalGateway]:
        """A gateway in this process, with a database of its own, for the length of the block."""
        # Made here, since they wait for the loop.
        _ = self.databases, self.actions
        # It ends while the next test begins: most of that is waiting.
        with self.loop.within(self._serving(), in_background=True) as served:
            gateway = LocalGateway(
                database=served.database,
                content=self.content,
                loop=self.loop,
                on_applied=served.wait_for,
                url=served.url,
                table=served.table,
                reader=served.reader,
            )

            async def read(connection: Connection) -> list[dict[str, object]]:
                await served.worker.recorder.flush()
                return await open_notifications(connection)

            gateway.complaints = served.reader.complaints
            gateway.mail = Mail(served.stand_in)
            gateway.notifications = Notifications(lambda: gateway.run(read))
            with closing(gateway):
                yield gateway

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[Served]:
        database = await self.databases.create(self.content)
        try:
            async with serving(database, self.actions) as served:
                yield served
        finally:
            await self.databases.drop(database)

    @contextmanager
    def processes(self, folder: Path) -> Iterator[Gateway]:
        """The real command with several workers, for the length of the block."""
        reader = ManifestReader(self.content.desired)

        async def add(desired: list[Desired], _: int) -> None:
            reader.add(desired)

        with (
            closing(server.listen("127.0.0.1", 0)) as mail,
            self.database(self.content) as database,
        ):
            mandrill = server.url(mail) + API
            with (
                self.loop.within(server.beside(StandIn().app, mail)),
                serving_processes(folder, self.app.path, database, mandrill) as url,
            ):
                gateway = Gateway(
                    database=database,
                    content=self.content,
                    loop=self.loop,
                    on_applied=add,
                    url=url,
                    table=lambda: reader.table,
                    reader=reader,
                )
                with closing(gateway):
                    yield gateway

    @contextmanager
    def remote(self, url: str) -> Iterator[Calls]:
        """A gateway that runs already, for the length of the block."""
        with closing(Outside(url.rstrip("/"), self.app, self.content.desired)) as gateway:
            yield gateway
