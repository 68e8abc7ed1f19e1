"""Verbs that change the registry, or say what would: check, plan, apply, dump."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.context import current_user
from gateway.cli.database import with_database
from gateway.cli.exits import Changes
from gateway.cli.options import Actor, Json, Message, Timeout, Wait
from gateway.cli.output import console, echo, echo_error, print_json, progress_bar
from gateway.cli.plans import print_plan, print_results
from gateway.database.connect import Connection
from gateway.manifest import pinned
from gateway.manifest.apply import Applied, Author, apply_all
from gateway.manifest.check import Desired, check, warnings
from gateway.manifest.dump import dump
from gateway.manifest.plan import Base, plan
from gateway.manifest.read import Diagnostic, ManifestError
from gateway.manifest.wait import wait_for_workers
from gateway.upstreams.python import Actions

Manifest = Annotated[Path, typer.Argument(help="A manifest file, or a folder of them.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the manifest leaves out.")]

MANY_ROWS = 2000
"""Rows from which on a progress bar is worth its place."""


def check_manifest(path: Manifest = Path("routes.yaml"), *, as_json: Json = False) -> None:
    """Judge a manifest and its schemas without a database; tells all that is wrong at once.

    Example: `gateway check routes.yaml`
    """
    try:
        desired = check(path)
    except ManifestError as error:
        if as_json:
            print_json({"faults": [_as_object(diagnostic) for diagnostic in error.diagnostics]})
        raise
    found = _warn(desired)
    routes = sum(len(each.routes) for each in desired)
    services = sum(len(each.services) for each in desired)
    if as_json:
        print_json({"routes": routes, "services": services, "warnings": found, "faults": []})
    else:
        echo(f"{path}: {routes} routes of {services} services can be applied")


def _as_object(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "file": diagnostic.file,
        "line": diagnostic.line,
        "place": diagnostic.path,
        "message": diagnostic.message,
    }


def _warn(desired: list[Desired]) -> list[str]:
    found = list(warnings(desired, Actions.load().names()))
    for warning in found:
        echo_error(f"warning: {warning}")
    return found


def plan_manifest(
    path: Manifest = Path("routes.yaml"),
    *,
    prune: Prune = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Pin the plan in a file, to be applied.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what apply would change and what of it breaks callers. Exit 0: nothing; 2: changes.

    Example: `gateway plan routes.yaml -o plan.json`
    """
    desired = check(path)
    plans = with_database(lambda db: plan(db, desired, prune=prune))
    if output:
        pinned.write(output, plans, desired, prune=prune)
    if as_json:
        print_json([each.as_object() for each in plans])
    else:
        for each in plans:
            print_plan(console(), each)
    if any(each.changes for each in plans):
        raise Changes


def apply_manifest(  # noqa: PLR0913 - each is an option
    path: Annotated[
        Path, typer.Argument(help="A manifest, or a plan of `gateway plan -o`.")
    ] = Path("routes.yaml"),
    *,
    prune: Prune = False,
    max_deletes: Annotated[
        int | None, typer.Option(help="Most routes that --prune may delete.", min=0)
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 30.0,
    message: Message = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Write a manifest to the registry in one transaction; running workers follow.

    Example: `gateway apply routes.yaml --wait --message 'appointments go live'`
    """
    desired, bases, prune = _desired(path, prune=prune)
    author = Author(actor or current_user(), message, str(path))

    async def work(connection: Connection) -> list[Applied]:
        with _progress(desired) as progress:
            done = await apply_all(
                connection,
                desired,
                author,
                prune=prune,
                bases=bases,
                max_deletes=max_deletes,
                progress=progress,
            )
        if wait and done:
            await wait_for_workers(connection, done[-1].revision, timeout)
        return done

    print_results(with_database(work), as_json=as_json)


def _desired(path: Path, *, prune: bool) -> tuple[list[Desired], dict[str, Base], bool]:
    """What to apply: of a manifest, or of a pinned plan with what it was made for."""
    if pinned.is_pinned(path):
        return pinned.read(path)
    desired = check(path)
    _warn(desired)
    return desired, {}, prune


def _progress(desired: list[Desired]) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar on a terminal, if there are many rows to write."""
    # A row is written to its table and to the history.
    rows = 2 * sum(len(each.routes) + len(each.services) for each in desired)
    if rows < MANY_ROWS or not console().is_terminal:
        return nullcontext(lambda _: None)
    return progress_bar("writing", rows)


def dump_registry() -> None:
    """Print the registry as YAML, one document a namespace; its plan is empty.

    Example: `gateway dump > backup.yaml`
    """
    typer.echo(with_database(dump), nl=False)
