"""The verb openapi: the document of a manifest, and what has broken callers since a revision."""

from pathlib import Path

import click

from gateway.cli.context import app_folder
from gateway.cli.database import with_database
from gateway.cli.options import CHANGES, app_option, json_option
from gateway.cli.output import echo, print_json
from gateway.database.connect import Connection
from gateway.manifest.check import check
from gateway.manifest.desired_table import table_of
from gateway.manifest.records import breaking
from gateway.manifest.records.change import Change
from gateway.manifest.since import changes_since
from gateway.pages.openapi.document import documented_services, openapi
from gateway.registry import store
from gateway.registry.table import Table
from gateway.runtime.errors import OperatorError
from gateway.runtime.suggest import did_you_mean


@click.command
@click.argument(
    "path",
    metavar="[MANIFEST]",
    type=click.Path(path_type=Path),
    required=False,
    help="A manifest file, a folder of them, or - for standard input; "
    "by default that of the application folder.",
)
@click.option("--service", metavar="NAME", help="Only the routes of this service.")
@click.option(
    "--diff",
    "revision",
    metavar="REVISION",
    type=click.IntRange(1),
    help="Print no document, but how the registry has broken callers since this revision.",
)
@app_option
@json_option
def print_openapi(
    path: Path | None, *, service: str | None, revision: int | None, as_json: bool
) -> None:
    """Print the OpenAPI document of a manifest offline, or what broke callers since a revision.

    Exit codes: 0 done, 1 an error; with --diff 0 nothing breaks callers, 2 something does.

    Example: `gateway openapi --service order_stages > order_stages.json`
    """
    if revision is None:
        table = table_of(check(path or app_folder().manifest))
        if service is not None:
            _refuse_unknown(service, table)
        print_json(openapi(table, service))
        return
    if path:
        raise click.UsageError("--diff compares revisions of the registry: leave out the manifest")
    changes = with_database(lambda connection: _changes(connection, revision, service))
    found = breaking.breaking(changes)
    _print_breaking(found, revision, as_json=as_json)
    if found:
        raise SystemExit(CHANGES)


async def _changes(connection: Connection, revision: int, service: str | None) -> list[Change]:
    """The changes since a revision: all, or those that concern the callers of one service."""
    changes = await changes_since(connection, revision)
    if service is None:
        return changes
    concerning = [change for change in changes if _concerns(change, service)]
    if not any(change.kind != "application" for change in concerning):
        # A misspelt service must not look like one without changes.
        _refuse_unknown(service, await store.load(connection))
    return concerning


def _concerns(change: Change, service: str) -> bool:
    if change.kind == "route":
        handler = str((change.before or change.after or {}).get("handler", ""))
        return handler.partition(".")[0] == service
    return change.kind == "application" or change.name == service


def _refuse_unknown(service: str, table: Table) -> None:
    known = documented_services(table)
    if service not in known:
        names = ", ".join(known) or "none"
        raise OperatorError(
            f"unknown service {service}{did_you_mean(service, known)}; services: {names}"
        )


def _print_breaking(found: list[tuple[Change, list[str]]], revision: int, *, as_json: bool) -> None:
    if as_json:
        print_json(breaking.as_object(found))
        return
    for change, phrases in found:
        for phrase in phrases:
            echo(f"{change.kind} {change.name} breaks callers: {phrase}")
    if not found:
        echo(f"nothing has broken callers since revision {revision}")
