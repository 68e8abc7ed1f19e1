"""What a test does inside a gateway: its database, its manifest and its callers."""

import itertools
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from gateway.database.connect import Connection, connect
from gateway.identity import issue, users
from gateway.identity.users import Rights
from gateway.manifest.apply import Applied, apply_all
from gateway.manifest.check import Desired, check, schema_folder
from gateway.manifest.wait import wait_for_workers
from gateway.testing.calls import TIMEOUT, Calls, Credential
from gateway.testing.databases import AUTHOR, Content
from gateway.testing.loop_thread import LoopThread

T = TypeVar("T")


class Gateway(Calls):
    """A gateway of a test: `url` is its address, `database` that of its database (asyncpg DSN)."""

    def __init__(
        self,
        *,
        database: str,
        content: Content,
        loop: LoopThread,
        on_applied: Callable[[list[Desired], int], Awaitable[None]],
        **options: Any,  # noqa: ANN401 - those of Calls
    ) -> None:
        super().__init__(tokens=content.tokens, **options)
        self.database = database
        self._on_applied = on_applied
        self._content = content
        self._loop = loop
        self._numbers = itertools.count(1)

    def apply(self, yaml_text: str) -> int:
        """Apply a manifest, and return its revision when every worker serves it.

        Its schemas are those of the application folder. Raises ManifestError.
        """
        return self._loop.run(self._apply(self._check(yaml_text)))

    def user(self, *, role: str | None = "employee", application: str | None = None) -> Credential:
        """Make a user with a role, or with none, who has a session in an application.

        `application` is by default that of the demo's tokens. Raises UserError and IssueError.
        """
        return self._loop.run(self._user(role, application or self._content.application or ""))

    def token(self, application: str, routes: str | Sequence[str] = "*") -> Credential:
        """Make a token of an application for some routes, such as `order_stages.*`.

        Raises IssueError and ApplicationError.
        """
        names = routes if isinstance(routes, str) else ",".join(routes)

        async def make(connection: Connection) -> Credential:
            return Credential(
                await issue.application_token(connection, application, names, "tests")
            )

        return self._loop.run(self._on_database(make))

    def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run some work on a connection to the database."""
        return self._loop.run(self._on_database(work))

    async def _on_database(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        connection = await connect(self.database)
        try:
            return await work(connection)
        finally:
            await connection.close()

    def _check(self, yaml_text: str) -> list[Desired]:
        with TemporaryDirectory() as folder:
            manifest = Path(folder, "routes.yaml")
            manifest.write_text(yaml_text, encoding="utf-8")
            schemas = schema_folder(self._content.app.manifest)
            if schemas.is_dir():
                shutil.copytree(schemas, Path(folder, "schemas"))
            return check(manifest)

    async def _apply(self, desired: list[Desired]) -> int:
        async def work(connection: Connection) -> list[Applied]:
            applied = await apply_all(connection, desired, AUTHOR)
            await wait_for_workers(connection, applied[-1].identity, TIMEOUT)
            return applied

        applied = await self._on_database(work)
        revision = applied[-1].revision
        await self._on_applied(desired, revision)
        return revision

    async def _user(self, role: str | None, application: str) -> Credential:
        email = f"user-{next(self._numbers)}@test.example.com"

        async def make(connection: Connection) -> Credential:
            rights = Rights(roles=[role] if role else [])
            user_id = await users.create(connection, email, "Test", "User", rights)
            token = await issue.session(connection, email, application)
            return Credential(token, email, user_id)

        return await self._on_database(make)
