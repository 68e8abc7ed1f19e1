"""The base of the errors that end a command with a message instead of a traceback."""


class OperatorError(Exception):
    """A command cannot do what was asked; its text, for the operator, says why and what to do."""
