"""What verbs print: tables and lines for people, JSON for programs, errors on standard error.

rich is imported where something is printed with it, since most verbs do without.

Whatever is printed here has its control characters as escapes: texts such as people's names come
from outside.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import click

from gateway.cli.safe_text import json_text, printable

if TYPE_CHECKING:
    from asyncpg import Record
    from rich.console import Console

Row: TypeAlias = Union[Mapping[str, Any], "Record"]
"""A row of the database, or what a verb made of it."""

MIN_WIDTH = 16
"""The narrowest column into whose cells long words are broken, in characters."""

FILE_WIDTH = 240
"""Columns of a table that is not printed on a terminal."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool) -> None:
    """Print rows of cells as an aligned table, or as a JSON list of objects.

    Nothing is cut: cells wrap, and a table that is too wide for that is printed row by row.
    """
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    target = console()
    # Three spaces between two columns, and one at each end.
    widths = fit_widths([columns, *cells], target.width - (3 * len(columns) - 1))
    if widths is None:
        _print_records(columns, cells)
    else:
        _print_table(target, columns, cells, widths)


def fit_widths(lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column, `width` characters in total; None if the table does not fit.

    Columns shrink to their longest word first; only if that is not enough, words are broken, and no
    column becomes narrower than `MIN_WIDTH`.
    """
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, "\n".join(column).split("\n"))) for column in columns]
    longest_words = [max(map(len, " ".join(column).split()), default=0) for column in columns]
    for narrowest in (longest_words, [min(MIN_WIDTH, length) for length in longest_words]):
        while sum(widths) > width:
            spare = [index for index, least in enumerate(narrowest) if widths[index] > least]
            if not spare:
                break
            widths[max(spare, key=widths.__getitem__)] -= 1
    return widths if sum(widths) <= width else None


def _print_table(
    target: "Console",
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
) -> None:
    from rich import box  # noqa: PLC0415 - see the docstring of this file
    from rich.table import Column, Table  # noqa: PLC0415

    heads = [
        Column(name, width=width, overflow="fold")
        for name, width in zip(columns, widths, strict=True)
    ]
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    target.print(table)


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(map(len, columns))
    for row in rows:
        for name, cell in zip(columns, row, strict=True):
            if cell:
                echo(f"{name:{width}}  {cell}")
        echo("")


def print_rows(columns: Sequence[str], rows: Sequence[Row], *, as_json: bool) -> None:
    """Print these columns of database rows."""
    cells = [[format_value(row[name], as_json=as_json) for name in columns] for row in rows]
    print_table(columns, cells, as_json=as_json)


def print_fields(row: Row, *, as_json: bool) -> None:
    """Print one database row: a line for each field that has a value."""
    if as_json:
        print_json(json_fields(row, [*row.keys()]))
        return
    width = max(map(len, row.keys()))
    for name, value in row.items():
        if value is not None:
            echo(f"{name:{width}}  {format_value(value, as_json=False)}")


def json_fields(row: Row, columns: Iterable[str]) -> dict[str, Any]:
    """These columns of a row as a JSON object."""
    return {name: format_value(row[name], as_json=True) for name in columns}


def format_value(value: Any, *, as_json: bool) -> Any:  # noqa: ANN401 - any column's value
    """A value of a row: times to the second; for people, lists with commas and objects as JSON."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if not as_json and isinstance(value, list):
        return ", ".join(map(str, value))
    if not as_json and isinstance(value, dict):
        return json_text(value)
    return value


def print_json(value: Any) -> None:  # noqa: ANN401 - JSON is any
    """Print a value as indented JSON."""
    click.echo(json_text(value))


def console() -> "Console":
    """Standard output; wide unless it is a terminal, so that no line is broken in a file."""
    from gateway.cli.safe_console import SafeConsole  # noqa: PLC0415

    width = None if SafeConsole().is_terminal else FILE_WIDTH
    return SafeConsole(emoji=False, highlight=False, markup=False, width=width)


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for the length of the block; the block calls with how many more are done."""
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=console()) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


def counted(count: int, noun: str) -> str:
    """`1 route`, `2 routes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def echo(text: str) -> None:
    """Print a line."""
    click.echo(printable(text))


def echo_error(text: str) -> None:
    """Print a line on standard error."""
    click.echo(printable(text), err=True)
