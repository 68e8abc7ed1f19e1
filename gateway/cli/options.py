"""Options and arguments that several verbs have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.context import APP

Function = TypeVar("Function", bound=Callable[..., Any])


class WholeNumber(click.IntRange):
    """A whole number of at least `min` and below 2^63."""

    def __init__(self, minimum: int) -> None:
        super().__init__(minimum, 2**63 - 1)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click declares it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """The number. Raises BadParameter with what is allowed."""
        try:
            number: int = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"must be a whole number, {self.min} or more, below 2^63", param, ctx)
        return number


ID = click.IntRange(1, 2**63 - 1)
"""An id as PostgreSQL's bigint holds it."""

CHANGES = 2
"""Exit code of `plan` and of `rollback --dry-run` if there are changes; no error has it."""


def _keep_app(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.meta[APP] = value


app_option = click.option(
    "--app",
    metavar="FOLDER",
    # Parsed before the arguments: the default manifest is that of this folder.
    is_eager=True,
    expose_value=False,
    callback=_keep_app,
    help="The application folder; overrides GATEWAY_APP.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
breaking_option = click.option(
    "--no-breaking",
    is_flag=True,
    help="Change nothing and exit with 1 if any change would break callers.",
)
max_deletes_option = click.option(
    "--max-deletes", type=click.IntRange(0), help="Maximum number of routes that may be deleted."
)
wait_option = click.option(
    "--wait", is_flag=True, help="Return when every live worker serves the revision."
)
timeout_option = click.option(
    "--timeout", type=float, default=30.0, show_default=True, help="Seconds that --wait may take."
)
message_option = click.option("--message", default="", help="Reason, for the history.")
actor_option = click.option(
    "--actor", default="", help="Author, for the history; by default the system's user."
)


def change_options(function: Function) -> Function:
    """The options of a verb that changes the registry: its limits, waiting, and its history."""
    for option in (
        *(json_option, actor_option, message_option, timeout_option, wait_option),
        *(breaking_option, max_deletes_option),
    ):
        function = option(function)
    return function


limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Maximum number to list, the newest first.",
)


def format_option(*others: str) -> Callable[[Function], Function]:
    """The option `--format`: text, json, or one of the others."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json", *others]),
        default="text",
        show_default=True,
        help="Format of the output; --json is the same as --format json.",
    )


def ids_argument(source: str) -> Callable[[Function], Function]:
    """The argument `ids`, any number of them; `source` is the command that lists them."""
    return click.argument("ids", metavar="[ID]...", nargs=-1, type=ID, help=f"Ids from `{source}`.")
