"""The verb statuses."""

import click

from gateway import statuses
from gateway.cli.options import json_option
from gateway.cli.output import print_table


@click.command
@json_option
def list_statuses(*, as_json: bool) -> None:
    """List every status that the gateway can answer, in the order of the pipeline.

    Example: `gateway statuses --json`
    """
    rows = [(s.slug, s.http, s.stage, s.fault, s.meaning) for s in statuses.catalogue()]
    print_table(("status", "http", "stage", "fault", "meaning"), rows, as_json=as_json)
