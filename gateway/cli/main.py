"""The command `gateway`: runs a verb, and puts errors that an operator can fix into words."""

import os
import sys

import typer

from gateway.cli import version
from gateway.cli.exits import ERROR, INTERRUPTED, MISUSE, Changes
from gateway.cli.verbs import Gateway
from gateway.runtime.errors import OperatorError

PROGRAM = "gateway"
COMPLETION = "_GATEWAY_COMPLETE"
"""The variable with which a shell asks for completions; its name follows from the program's."""

app = typer.Typer(
    name=PROGRAM,
    cls=Gateway,
    help="The Plano gateway: serves the routes of a registry that PostgreSQL holds.",
    no_args_is_help=True,
    # Typer imports rich to print help with markup, which takes longer than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
version.add_to(app)


def main() -> None:
    """Run a verb; exit 1 with a message on an error that an operator can fix."""
    if COMPLETION in os.environ:
        # Typer passes lines of help through rich if it finds it, which a shell would wait for.
        # None makes it unfindable; these lines have no markup.
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        app(prog_name=PROGRAM)
    except Changes:
        raise
    except SystemExit as end:
        sys.exit(ERROR if end.code == MISUSE else end.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left, as in `gateway routes | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ERROR)
    except Exception as error:
        message = _describe(error)
        if message is None:
            raise
        typer.echo(message, err=True)
        sys.exit(ERROR)


def _describe(error: Exception) -> str | None:
    if isinstance(error, OperatorError):
        return str(error)
    # Imported late: the verbs that use no database start without its driver.
    from gateway.cli.database import describe_error  # noqa: PLC0415

    return describe_error(error)
