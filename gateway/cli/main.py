"""The command `gateway`: runs a verb, and puts errors that an operator can fix into words."""

import sys

import click

from gateway.cli import completion
from gateway.cli.output import echo_error
from gateway.cli.verbs import VERBS, build_group
from gateway.runtime.errors import INTERRUPTED, OperatorError

ERROR = 1

app = build_group(
    completion.PROGRAM,
    "The Plano gateway: serves the routes of a registry that PostgreSQL holds.",
    VERBS,
)
click.version_option(
    package_name="plano-gateway",
    message="%(package)s %(version)s",
    help="Print the version of the installed gateway.",
)(app)
completion.add_to(app)


def main() -> None:
    """Run a verb; exit 1 with a message on an error that an operator can fix.

    Exit code 2 is that of `gateway plan` with changes, so a mistake of use exits with 1 too.
    """
    try:
        sys.exit(app.main(prog_name=completion.PROGRAM, standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(ERROR)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = _describe(error)
        if message is None:
            raise
        echo_error(message)
        sys.exit(ERROR)


def _describe(error: Exception) -> str | None:
    if isinstance(error, OperatorError):
        return str(error)
    # Imported late: the verbs that use no database start without its driver.
    from gateway.cli.database import describe_error  # noqa: PLC0415

    return describe_error(error)
