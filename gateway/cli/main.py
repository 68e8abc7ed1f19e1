"""The command line: one verb a function, every fault of a known kind one clear message."""

import os
import sys

import typer

from gateway.cli import manifest, notifications, outbox, revisions, routes, server, tokens, version
from gateway.cli.manifest import Changes
from gateway.cli.output import echo_error
from gateway.database.errors import UNDEFINED_TABLE, DatabaseError, DatabaseUnavailable
from gateway.runtime.errors import OperatorError

app = typer.Typer(
    name="gateway",
    help="The Plano gateway: serves the routes of a registry that PostgreSQL holds.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
server.add_to(app)
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
    except (OperatorError, DatabaseUnavailable) as error:
        echo_error(str(error))
        sys.exit(1)
    except DatabaseError as error:
        if error.sqlstate == UNDEFINED_TABLE:
            echo_error("the database has no such table yet: run `gateway migrate`")
        else:
            echo_error(f"the database refused ({error.sqlstate}): {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has left, as `gateway routes | head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
