"""Verbs that write files to begin with: init, new."""

import shlex
from pathlib import Path

import click

from gateway.cli.context import app_folder
from gateway.cli.options import app_option
from gateway.cli.output import echo
from gateway.dev.scaffold.application import make_application
from gateway.dev.scaffold.files import ScaffoldError
from gateway.dev.scaffold.service import add_action


@click.command
@click.argument(
    "folder",
    metavar="[FOLDER]",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder, which need not exist; by default the working directory.",
)
def init(folder: Path) -> None:
    """Write an application to begin with: a service with route, schemas and tests.

    Files that exist are kept.

    Example: `gateway init shop`
    """
    made = make_application(folder)
    for name in made.written:
        echo(f"wrote {folder / name}")
    for name in made.kept:
        echo(f"kept {folder / name}")
    place = "" if folder == Path() else f"cd {_quoted(folder)}, "
    echo(f"\nNext: {place}run `pytest`, then `gateway dev`; `gateway new` adds a service.")


def _quoted(folder: Path) -> str:
    """A folder as an argument of a shell command."""
    name = str(folder)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


@click.command
@click.argument("name", metavar="SERVICE.ACTION", help="The action, such as parcels.create.")
@app_option
def new(name: str) -> None:
    """Add an action to the application: code, schemas, route and test; overwrite nothing.

    Comments and order of the manifest stay.

    Example: `gateway new parcels.create`
    """
    app = app_folder()
    if app.is_plano and app.path.resolve() != Path.cwd():
        raise ScaffoldError("there is no application here: `gateway init` begins one")
    for file in add_action(app, name):
        echo(f"wrote {app.path / file}")
    service = app.path / "services" / f"{name.partition('.')[0]}.py"
    echo(
        f"\nNext: write {service}, describe its params and what it returns in schemas/, "
        "and run `pytest`."
    )
