"""Migrations: plain SQL files, applied in order under a lock and recorded with a checksum.

The lock is of a transaction: behind a transaction pooler a session has no lock of its own.
"""

import hashlib
import importlib.util
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.database.connect import Connection
from gateway.database.sql import load_queries
from gateway.runtime.app_folder import AppFolder, installed_services
from gateway.runtime.errors import OperatorError

LOCK_TIMEOUT = 60
"""Seconds that a migration waits for another `gateway migrate`, and for each lock of a table.

While it waits for a table, the calls that use the table wait behind it.
"""

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


class MigrationError(OperatorError):
    """The files and the database disagree, or a lock is not free; the text says what to do."""


class BrokenMigrationError(OperatorError):
    """PostgreSQL refuses the SQL of a file; the text says which file and line."""


_NOT_OF_THE_FILE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `name` is its label and file name, such as `gateway/0001_registry.sql`."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def find_all(app: AppFolder | None = None) -> list[Migration]:
    """The gateway's own migrations, then the application folder's, then installed packages'.

    Without `app` it is the application folder of the working directory. Raises MigrationError.
    """
    app = app or AppFolder.find()
    own = Path(__file__).with_name("migrations")
    folders = [("gateway", own), ("services", app.services / "migrations")]
    return find([*folders, *_installed(label for label, _ in folders)])


def _installed(taken: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Label and folder of the migrations of each package with an entry point."""
    labels = set(taken)
    for entry in installed_services():
        folder = _package_folder(entry.module)
        if folder is None or not (folder / "migrations").is_dir():
            continue
        if entry.name in labels:
            raise MigrationError(
                f"{folder / 'migrations'}: the entry point {entry.name} needs another name, since "
                "other migrations are recorded under this one"
            )
        labels.add(entry.name)
        yield entry.name, folder / "migrations"


def _package_folder(name: str) -> Path | None:
    """The folder of a package, found without importing it; None if it is a module or missing."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def find(folders: Iterable[tuple[str, Path]]) -> list[Migration]:
    """The files of each (label, folder), folder by folder, in the order of their names."""
    return [
        Migration(f"{label}/{file.name}", file.read_text(encoding="utf-8"))
        for label, folder in folders
        for file in sorted(folder.glob("*.sql"))
    ]


async def migrate(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Apply the pending migrations, each in its own transaction; return their names.

    Raises MigrationError, and applies nothing, if an applied file was edited or is gone;
    BrokenMigrationError if the SQL of a file is refused: those before it stay applied. Raises
    MigrationError too if a lock is not free within `LOCK_TIMEOUT` seconds.
    """
    async with _locked(connection):
        await connection.execute(_SQL["prepare"])
        rows = await connection.fetch(_SQL["applied"])
        applied = {row["name"]: row["checksum"] for row in rows}
        _refuse_changes(applied, migrations)
    pending = [migration for migration in migrations if migration.name not in applied]
    return [each.name for each in pending if await _apply(connection, each)]


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[None]:
    """A transaction in which no other process migrates. Raises MigrationError."""
    has_lock = False
    try:
        # It must see what others have committed while it waited for the lock.
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(_SQL["lock_timeout"], f"{LOCK_TIMEOUT}s")
            await connection.execute(_SQL["lock"])
            has_lock = True
            yield
    except asyncpg.LockNotAvailableError as error:
        if has_lock:
            raise
        raise MigrationError(await _describe_holder(connection)) from error


async def _describe_holder(connection: Connection) -> str:
    holder = await connection.fetchrow(_SQL["lock_holder"])
    text = f"another process migrates this database, and was not done after {LOCK_TIMEOUT} s"
    if holder is None:
        return f"{text}: run the command again"
    pid = holder["pid"]
    return (
        f"{text}: server process {pid}, {holder['application_name'] or 'without a name'}; "
        f"run the command again later, or end that one with `select pg_terminate_backend({pid})`"
    )


async def _apply(connection: Connection, migration: Migration) -> bool:
    """Apply a file, unless another process has done so meanwhile; return whether."""
    async with _locked(connection):
        if await connection.fetchval(_SQL["is_applied"], migration.name):
            return False
        await connection.execute(_SQL["search_path"])
        try:
            await connection.execute(migration.text)
        except _NOT_OF_THE_FILE:
            raise
        except asyncpg.LockNotAvailableError as error:
            raise MigrationError(
                f"{migration.name}: another transaction held a lock that the file needs for more "
                f"than {LOCK_TIMEOUT} s; this migration is not applied, and those before it stay "
                "applied: run the command again when that transaction is over"
            ) from error
        except asyncpg.PostgresError as error:
            raise BrokenMigrationError(
                f"{_location(migration, error)}: {error.args[0]}; "
                "this migration is not applied, and those before it stay applied"
            ) from error
        await connection.execute(_SQL["record"], migration.name, migration.checksum)
    return True


def _location(migration: Migration, error: asyncpg.PostgresError) -> str:
    """File and line of an error; PostgreSQL tells the position of some errors only."""
    position = getattr(error, "position", None)
    if position is None:
        return migration.name
    return f"{migration.name}:{migration.text.count(chr(10), 0, int(position) - 1) + 1}"


def _refuse_changes(applied: dict[str, str], migrations: list[Migration]) -> None:
    problems = list(_changes(applied, {migration.name: migration for migration in migrations}))
    if problems:
        raise MigrationError("\n".join(problems))


def _changes(applied: dict[str, str], files: dict[str, Migration]) -> Iterator[str]:
    """Sentences about the applied files that are gone or were edited."""
    for name, checksum in applied.items():
        if name not in files:
            yield f"{name} was applied to this database, but its file is gone: {_remedy(name)}"
        elif files[name].checksum != checksum:
            yield (
                f"{name} was edited after it was applied: "
                "restore the file, and put the change into a new one."
            )


def _remedy(name: str) -> str:
    if name.startswith("gateway/"):
        return "a newer gateway migrated the database; install that version."
    return "restore the file, or use the database that belongs to this application folder."
