"""What commands print: a table for people, JSON for programs, complaints on standard error."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from asyncpg import Record

Row: TypeAlias = Union[Mapping[str, Any], "Record"]
"""A row of the database, or what a verb made of it."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool) -> None:
    """Rows, as an aligned table or as a JSON list of objects."""
    if as_json:
        json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    shown = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    console().print(shown)


def rows(columns: Sequence[str], found: Sequence[Row], *, as_json: bool) -> None:
    """Rows of the database, of which these columns are shown."""
    cells = [[plain(row[name], as_json=as_json) for name in columns] for row in found]
    table(columns, cells, as_json=as_json)


def fields(found: Row, *, as_json: bool) -> None:
    """One row of the database: a line for each field that has a value."""
    if as_json:
        json({name: plain(value, as_json=True) for name, value in found.items()})
        return
    width = max(map(len, found.keys()))
    for name, value in found.items():
        if value is not None:
            say(f"{name:{width}}  {plain(value, as_json=False)}")


def plain(value: Any, *, as_json: bool) -> Any:  # noqa: ANN401 - what a row holds
    """A value for a cell: times to the second, and for people lists by commas, objects as JSON."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if not as_json and isinstance(value, list):
        return ", ".join(map(str, value))
    if not as_json and isinstance(value, dict):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return value


def json(value: Any) -> None:  # noqa: ANN401 - JSON is any
    """A value as JSON, for programs."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def console() -> Console:
    """Standard output; wide where it is no terminal, so that no line is broken in a file."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=240)


def say(text: str) -> None:
    """A line for the person at the keyboard, at once."""
    typer.echo(text)


def echo_error(text: str) -> None:
    """What went wrong, on standard error."""
    typer.echo(text, err=True)
