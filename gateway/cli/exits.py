"""The exit codes of the command: 0 done, 1 error, 2 changes of `gateway plan`."""

ERROR = 1
CHANGES = 2
INTERRUPTED = 130
"""As shells report a command that SIGINT ended."""

MISUSE = 2
"""Typer's exit code for a mistake of use; for a plan it would say that there are changes."""


class Changes(SystemExit):
    """A plan has changes; the only exit with code 2."""

    def __init__(self) -> None:
        super().__init__(CHANGES)
