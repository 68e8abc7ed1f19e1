"""Verbs for the registry: check, apply, and what is served."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from gateway.actions import Actions
from gateway.cli.operate import Json, with_database
from gateway.cli.output import complain, json, say, table
from gateway.database.pool import Connection
from gateway.manifest.apply import Applied, apply
from gateway.manifest.check import Desired, check, warnings
from gateway.registry import store
from gateway.registry.table import Table

Manifest = Annotated[Path, typer.Argument(help="A manifest file, or a folder of them.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command("check")(check_manifest)
    app.command("apply")(apply_manifest)
    app.command("routes")(list_routes)


def check_manifest(path: Manifest = Path("routes.yaml"), *, as_json: Json = False) -> None:
    """Judge a manifest and its schemas without a database; tells all that is wrong at once.

    Example: `gateway check routes.yaml`
    """
    desired = check(path)
    found = _warn(desired)
    routes = sum(len(each.routes) for each in desired)
    services = sum(len(each.services) for each in desired)
    if as_json:
        json({"routes": routes, "services": services, "warnings": found})
    else:
        say(f"{path}: {routes} routes of {services} services can be applied")


def _warn(desired: list[Desired]) -> list[str]:
    found = list(warnings(desired, Actions.load().names()))
    for warning in found:
        complain(f"warning: {warning}")
    return found


def apply_manifest(
    path: Manifest = Path("routes.yaml"),
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what the manifest leaves out.")
    ] = False,
    message: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    actor: Annotated[str, typer.Option(help="Who; else the name of the system's user.")] = "",
    as_json: Json = False,
) -> None:
    """Write a manifest to the registry in one transaction; running workers follow.

    Example: `gateway apply routes.yaml --message 'appointments go live'`
    """
    desired = check(path)
    _warn(desired)
    who = actor or getpass.getuser()

    async def work(connection: Connection) -> list[tuple[Desired, Applied]]:
        async with connection.transaction():
            return [
                (each, await apply(connection, each, actor=who, message=message, prune=prune))
                for each in desired
            ]

    applied: list[tuple[Desired, Applied]] = with_database(work)
    if as_json:
        json([_as_object(each, done) for each, done in applied])
        return
    for each, done in applied:
        _tell(each, done)


def _tell(desired: Desired, done: Applied) -> None:
    for change in done.changes:
        say(f"{change.verb:6} {change.kind:7} {change.name}")
    for name in done.left_alone:
        say(f"left alone, since only --prune deletes: {name}")
    if done.changes:
        say(f"namespace {desired.namespace} is at revision {done.revision}")
    else:
        say(f"namespace {desired.namespace}: nothing to change at revision {done.revision}")


def _as_object(desired: Desired, done: Applied) -> dict[str, object]:
    changes = [{"verb": c.verb, "kind": c.kind, "name": c.name} for c in done.changes]
    return {
        "namespace": desired.namespace,
        "revision": done.revision,
        "changes": changes,
        "left_alone": done.left_alone,
    }


def list_routes(*, as_json: Json = False) -> None:
    """List the routes that the registry holds, and whether each can answer.

    Example: `gateway routes`
    """

    async def work(connection: Connection) -> Table:
        return await store.load(connection)

    loaded: Table = with_database(work)
    rows = [
        (
            route.method,
            route.path,
            route.name,
            ", ".join(sorted(route.auth)) or "public",
            _state(loaded, route.name),
        )
        for route in sorted(loaded.routes.values(), key=lambda route: (route.path, route.method))
    ]
    table(("method", "path", "route", "auth", "state"), rows, as_json=as_json)


def _state(loaded: Table, name: str) -> str:
    route = loaded.routes[name]
    service = loaded.services.get(route.service)
    if not route.deployed:
        return "route not deployed"
    return "served" if service and service.deployed else "service not deployed"
