"""The command line: one verb a function, every fault of a known kind one clear message."""

import os
import sys

import typer

from gateway.cli import (
    manifest,
    migrate,
    notifications,
    outbox,
    revisions,
    routes,
    serve,
    settings,
    statuses,
    tokens,
    version,
)
from gateway.cli.database import describe_error
from gateway.cli.manifest import Changes
from gateway.cli.output import echo_error
from gateway.runtime.errors import OperatorError

app = typer.Typer(
    name="gateway",
    help="The Plano gateway: serves the routes of a registry that PostgreSQL holds.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
serve.add_to(app)
migrate.add_to(app)
statuses.add_to(app)
settings.add_to(app)
manifest.add_to(app)
revisions.add_to(app)
routes.add_to(app)
tokens.add_to(app)
outbox.add_to(app)
notifications.add_to(app)
version.add_to(app)

MISUSE = 2
"""How typer ends at a mistake of use; of a plan this would say that there are changes."""


def main() -> None:
    """Run a command; exit 1 with a message on a known fault."""
    try:
        app()
    except Changes:
        raise
    except SystemExit as ended:
        sys.exit(1 if ended.code == MISUSE else ended.code)
    except OperatorError as error:
        echo_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has left, as `gateway routes | head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        message = describe_error(error)
        if message is None:
            raise
        echo_error(message)
        sys.exit(1)
