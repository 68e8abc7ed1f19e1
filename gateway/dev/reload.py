"""Applies the manifest when `gateway dev` starts; applies it and reloads the code on each save."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import watchfiles

from gateway.database.connect import Connection, connect
from gateway.dev import demo
from gateway.manifest.apply import Author, apply_all
from gateway.manifest.check import Desired, check, watched_folders
from gateway.manifest.source.read import ManifestError
from gateway.manifest.upstream_warnings import unset_secrets
from gateway.manifest.warnings import warnings
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.errors import OperatorError
from gateway.serve.worker import Worker
from gateway.upstreams import sources
from gateway.upstreams.python import Actions

ACTOR = "gateway dev"
NO_LIMIT = 10**9
"""Deletes that an apply may make: here the registry follows the file, whatever it says."""

CODE = {".py", ".sql"}
SUFFIXES = {".yaml", ".yml", ".json", *CODE}


class Reloader:
    """Keeps the registry and a worker's actions in step with the files.

    `echo` prints a line for the developer. `desired` and `actions` are those of the last reload.
    """

    def __init__(
        self, database_url: str, app: AppFolder, manifest: Path, echo: Callable[[str], None]
    ) -> None:
        self.echo = echo
        self.actions = Actions.load(app)
        self.desired: list[Desired] = []
        self._database_url = database_url
        self._app = app
        self._manifest = manifest
        self._prune = False

    @property
    def application(self) -> str | None:
        """The application of the demo's tokens; None if the manifest declares none."""
        return demo.application_of(slug for state in self.desired for slug in state.applications)

    async def start(self, connection: Connection, *, prune: bool) -> None:
        """Apply the manifest; with `prune` this and every save deletes what it no longer contains.

        Raises ManifestError.
        """
        self._prune = prune
        await self._apply(connection)

    async def _apply(self, connection: Connection, worker: Worker | None = None) -> None:
        """Apply the manifest; a revision is printed when the worker, if there is one, serves it."""
        self.desired = check(self._manifest)
        author = Author(ACTOR, source=str(self._manifest))
        for applied in await apply_all(
            connection, self.desired, author, prune=self._prune, max_deletes=NO_LIMIT
        ):
            for change in applied.changes:
                self.echo(f"{applied.namespace}: {change.verb} {change.kind} {change.name}")
            if applied.changes:
                if worker:
                    await worker.registry.wait_for(applied.revision)
                self.echo(f"{applied.namespace}: revision {applied.revision}")
        for warning in warnings(
            self._manifest,
            self.desired,
            self.actions.names(),
            searched=self.actions.searched,
            why_missing=self.actions.why_missing,
        ):
            self.echo(f"warning: {warning}")
        for warning in unset_secrets(self.desired, os.environ):
            self.echo(f"warning: {warning}")

    async def watch(self, worker: Worker) -> None:
        """Reload on each save, until cancelled; a mistake in a file is printed."""
        while True:
            folders = self._folders()
            async for changes in watchfiles.awatch(
                *folders, watch_filter=_is_source, debounce=200, step=50, recursive=False
            ):
                await self._reload(worker, [Path(path) for _, path in changes])
                if self._folders() != folders:
                    break

    def _folders(self) -> list[Path]:
        folders = [*watched_folders(self._manifest), *sources.folders(self._app)]
        return [*dict.fromkeys(folder.resolve() for folder in folders)]

    async def _reload(self, worker: Worker, files: list[Path]) -> None:
        try:
            sources.clear_imports()
            self.actions = Actions.load(self._app)
            worker.use(self.actions)
            for name in _modules(files):
                self.echo(f"reloaded {name}")
            connection = await connect(self._database_url)
            try:
                await self._apply(connection, worker)
            finally:
                await connection.close()
        except ManifestError as error:
            self.echo(f"not applied:\n{error}")
        except OperatorError as error:
            self.echo(f"not reloaded: {error}")
        except Exception as error:  # noqa: BLE001 - the code under edit may raise anything
            self.echo(f"not reloaded: {type(error).__name__}: {error}")


def _modules(files: Iterable[Path]) -> list[str]:
    """The modules whose code or SQL was saved."""
    code = (file for file in files if file.suffix in CODE)
    return sorted({file.stem for file in code if file.with_suffix(".py").exists()})


def _is_source(_: watchfiles.Change, path: str) -> bool:
    # A new folder counts too: its first file is saved before the folder is watched.
    return Path(path).suffix in SUFFIXES or Path(path).is_dir()
