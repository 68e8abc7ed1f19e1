"""Verbs about the manifest and the registry: check, plan, apply, dump."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from gateway.cli import annotations
from gateway.cli.context import app_folder, current_user, manifest_or_default
from gateway.cli.database import with_database
from gateway.cli.options import (
    CHANGES,
    app_option,
    change_options,
    format_option,
    json_option,
)
from gateway.cli.output import console, counted, echo, echo_error, print_json, progress_bar
from gateway.cli.plans import print_plans, print_results
from gateway.database.connect import Connection
from gateway.manifest import pinned
from gateway.manifest.apply import Applied, Author, apply_all
from gateway.manifest.check import Desired, check
from gateway.manifest.dump import dump
from gateway.manifest.plan import Base, plan
from gateway.manifest.rules.editor_schema import (
    editor_schema_of_manifests,
    editor_schema_of_params,
)
from gateway.manifest.source.read import Diagnostic, ManifestError, name_of
from gateway.manifest.upstream_warnings import unset_secrets
from gateway.manifest.wait import wait_for_workers
from gateway.manifest.warnings import warnings
from gateway.settings import Settings
from gateway.upstreams.python import Actions

MANY_ROWS = 2000
"""Rows to write for which apply shows a progress bar."""

PATH = click.Path(path_type=Path)
manifest_argument = click.argument(
    "path",
    metavar="[MANIFEST]",
    type=PATH,
    required=False,
    callback=manifest_or_default,
    help="A manifest file, a folder of them, or - for standard input; "
    "by default that of the application folder.",
)
prune_option = click.option(
    "--prune", is_flag=True, help="Delete what the manifest no longer contains."
)


@click.command
@manifest_argument
@format_option("github")
@app_option
@json_option
def check_manifest(path: Path, *, output_format: str, as_json: bool) -> None:
    """Validate a manifest and its schemas offline; report every error at once.

    Exit codes: 0 the manifest is valid, 1 it has errors.

    Example: `gateway check routes.yaml`
    """
    as_json = as_json or output_format == "json"
    try:
        desired = check(path)
    except ManifestError as error:
        if as_json:
            print_json({"faults": [_as_object(diagnostic) for diagnostic in error.diagnostics]})
        if output_format == "github":
            for diagnostic in error.diagnostics:
                echo(annotations.error(diagnostic))
        raise
    messages = _warn(path, desired)
    if output_format == "github":
        for message in messages:
            echo(annotations.warning(str(path), message))
    routes = sum(len(namespace.routes) for namespace in desired)
    services = sum(len(namespace.services) for namespace in desired)
    if as_json:
        print_json({"routes": routes, "services": services, "warnings": messages, "faults": []})
    else:
        held = f"{counted(routes, 'route')} of {counted(services, 'service')}"
        echo(f"{name_of(path)} is valid: {held}")


def _as_object(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "place": diagnostic.path,
        "message": diagnostic.message,
    }


def _warn(path: Path, desired: list[Desired]) -> list[str]:
    """Print the manifest's warnings, and return them."""
    actions = Actions.load(app_folder())
    messages = list(
        warnings(
            path,
            desired,
            actions.names(),
            batched=actions.batched(),
            searched=actions.searched,
            why_missing=actions.why_missing,
        )
    )
    for message in messages:
        echo_error(f"warning: {message}")
    return messages


@click.command
@manifest_argument
@app_option
@prune_option
@click.option(
    "--output", "-o", type=PATH, help="Pin the plan in a .json file, for `gateway apply`."
)
@format_option("markdown")
@json_option
def plan_manifest(
    path: Path, *, prune: bool, output: Path | None, output_format: str, as_json: bool
) -> None:
    """Show what apply would change and which changes break callers; exit 2 on any change.

    Exit codes: 0 nothing to change, 2 changes, 1 an error.

    Example: `gateway plan routes.yaml -o plan.json`
    """
    desired = check(path)
    _warn(path, desired)
    plans = with_database(lambda connection: plan(connection, desired, prune=prune))
    if output:
        pinned.write(output, plans, desired, prune=prune)
    print_plans(plans, output_format="json" if as_json else output_format)
    if any(namespace.changes for namespace in plans):
        raise SystemExit(CHANGES)


@click.command
@app_option
@click.argument(
    "path",
    metavar="[MANIFEST]",
    type=PATH,
    required=False,
    callback=manifest_or_default,
    help="A manifest file, a folder of them, or a plan pinned by `gateway plan -o`; "
    "by default the manifest of the application folder.",
)
@prune_option
@change_options
def apply_manifest(  # noqa: PLR0913 - each is an option
    path: Path,
    *,
    prune: bool,
    max_deletes: int | None,
    no_breaking: bool,
    wait: bool,
    timeout: float,
    message: str,
    actor: str,
    as_json: bool,
) -> None:
    """Write a manifest to the registry in one transaction; running workers pick it up.

    Exit codes: 0 the registry is as the manifest says, 1 an error.

    Example: `gateway apply routes.yaml --wait --message 'appointments go live'`
    """
    desired, bases, prune = _desired(path, prune=prune)
    author = Author(actor or current_user(), message, str(path))

    async def work(connection: Connection) -> list[Applied]:
        with _progress(desired) as progress:
            results = await apply_all(
                connection,
                desired,
                author,
                prune=prune,
                bases=bases,
                max_deletes=max_deletes,
                allow_breaking=not no_breaking,
                progress=progress,
            )
        if wait and results:
            await wait_for_workers(connection, results[-1].identity, timeout)
        return results

    print_results(with_database(work), as_json=as_json)


def _desired(path: Path, *, prune: bool) -> tuple[list[Desired], dict[str, Base], bool]:
    """What to apply, the bases that it needs, and whether to prune."""
    if pinned.is_pinned(path):
        desired, bases, prune = pinned.read(path)
        _warn_of_unset_secrets(desired)
        return desired, bases, prune
    desired = check(path)
    _warn(path, desired)
    _warn_of_reads(desired)
    _warn_of_unset_secrets(desired)
    return desired, {}, prune


def _warn_of_reads(desired: list[Desired]) -> None:
    """Say that routes with `reads` use the primary, if no replica is named here."""
    routes = [name for state in desired for name, r in state.routes.items() if "reads" in r.record]
    if routes and not Settings.load(os.environ).replica_database_url:
        have = "1 route has" if len(routes) == 1 else f"{len(routes)} routes have"
        echo_error(
            f"note: {have} `reads`, and GATEWAY_REPLICA_DATABASE_URL is not set here; gateways "
            "without it read from the primary"
        )


def _warn_of_unset_secrets(desired: list[Desired]) -> None:
    for message in unset_secrets(desired, os.environ):
        echo_error(f"warning: {message}")


def _progress(desired: list[Desired]) -> AbstractContextManager[Callable[[int], None]]:
    # Each record is written twice: to its table and to the history.
    rows = 2 * sum(len(namespace.routes) + len(namespace.services) for namespace in desired)
    if rows < MANY_ROWS or not console().is_terminal:
        return nullcontext(lambda _: None)
    return progress_bar("writing", rows)


@click.command
@click.argument(
    "kind",
    metavar="[manifest|params]",
    type=click.Choice(["manifest", "params"]),
    default="manifest",
    help="Which schema: manifest (the default), or params, for the files in schemas/.",
)
def print_schema(kind: str) -> None:
    """Print the JSON Schema of a manifest or of params; editors use it to complete and check.

    Example: `gateway schema > routes.schema.json`
    """
    is_manifest = kind == "manifest"
    print_json(editor_schema_of_manifests() if is_manifest else editor_schema_of_params())


@click.command
@click.option(
    "--namespace", "namespaces", multiple=True, help="Print only this namespace; repeatable."
)
def dump_registry(namespaces: tuple[str, ...]) -> None:
    """Print the registry as YAML, one document per namespace.

    The output is a manifest. Planning it shows no changes.

    Example: `gateway dump > backup.yaml`
    """
    click.echo(with_database(lambda connection: dump(connection, namespaces)), nl=False)
