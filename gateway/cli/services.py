"""The verb about services: list them with their endpoints."""

import click

from gateway.cli.database import with_database
from gateway.cli.options import json_option
from gateway.cli.output import print_table
from gateway.monitoring.services import EndpointRow, endpoint_rows_now


@click.command
@json_option
def list_services(*, as_json: bool) -> None:
    """List services and their endpoints, as all live workers see them.

    Workers report every five seconds. Latency is a moving average in milliseconds.

    Example: `gateway services`
    """
    rows = with_database(endpoint_rows_now)
    columns = ("service", "kind", "endpoint", "address", "state", "in_flight", "ms", "ejections")
    print_table(columns, [_cells(row) for row in rows], as_json=as_json)


def _cells(row: EndpointRow) -> tuple[object, ...]:
    milliseconds = None if row.latency is None else round(row.latency * 1000, 1)
    return (*row[:6], milliseconds, row.ejections)
