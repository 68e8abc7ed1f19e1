"""Applies the manifest when `gateway dev` starts; applies it and reloads the code on each save."""

from collections.abc import Callable
from pathlib import Path

import watchfiles

from gateway.database.connect import Connection, connect
from gateway.database.migrate import package_folder
from gateway.manifest.apply import Applied, Author, apply_all
from gateway.manifest.check import check, watched_folders
from gateway.manifest.read import ManifestError
from gateway.manifest.warnings import warnings
from gateway.serve.worker import Worker
from gateway.upstreams import python
from gateway.upstreams.python import Actions

ACTOR = "gateway dev"
NO_LIMIT = 10**9
"""Deletes that an apply may make: here the registry follows the file, whatever it says."""

SUFFIXES = {".yaml", ".yml", ".json", ".py", ".sql"}


class Reloader:
    """Keeps the registry and a worker's actions the same as the files.

    `echo` prints a line for the developer.
    """

    def __init__(self, database_url: str, manifest: Path, echo: Callable[[str], None]) -> None:
        self._database_url = database_url
        self._manifest = manifest
        self._echo = echo

    async def apply(self, connection: Connection) -> None:
        """Apply every namespace of the manifest, and delete what it no longer contains.

        Raises ManifestError.
        """
        desired = check(self._manifest)
        author = Author(ACTOR, source=str(self._manifest))
        for applied in await apply_all(
            connection, desired, author, prune=True, max_deletes=NO_LIMIT
        ):
            self._print_changes(applied)
        for warning in warnings(self._manifest, desired, Actions.load().names()):
            self._echo(f"warning: {warning}")

    def _print_changes(self, applied: Applied) -> None:
        for change in applied.changes:
            self._echo(f"{applied.namespace}: {change.verb} {change.kind} {change.name}")
        if applied.changes:
            self._echo(f"{applied.namespace}: revision {applied.revision}")

    async def watch(self, worker: Worker) -> None:
        """Reload on each save, until cancelled; a mistake in a file is printed."""
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
            connection = await connect(self._database_url)
            try:
                await self.apply(connection)
            finally:
                await connection.close()
        except ManifestError as error:
            self._echo(f"not applied:\n{error}")
        except Exception as error:  # noqa: BLE001 - the code under edit may raise anything
            self._echo(f"not reloaded: {type(error).__name__}: {error}")


def _is_source(_: watchfiles.Change, path: str) -> bool:
    # A new folder counts too: its first file is saved before the folder is watched.
    return Path(path).suffix in SUFFIXES or Path(path).is_dir()
