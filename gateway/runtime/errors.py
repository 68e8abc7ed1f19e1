"""The base class of errors that end a command with a message instead of a traceback."""


class OperatorError(Exception):
    """A command failed; the text, for the operator, says why and what to do."""


INTERRUPTED = 130
"""The exit code that shells give to a command that SIGINT ended."""
