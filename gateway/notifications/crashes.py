"""An unexpected error in words that quote nothing of what the caller sent."""

import traceback
from pathlib import Path
from typing import Any, Protocol

from gateway.database.errors import DatabaseError
from gateway.registry.records import Route
from gateway.registry.table import Match
from gateway.values import Caller, ServiceAnswerError, Valid

MIN_SECRET = 3
"""Characters of a param's text that is kept out of the log; shorter ones are part of any error."""


class Progress(Protocol):
    """How far a request came."""

    @property
    def match(self) -> Match | None:
        """The route, once it is known."""

    @property
    def caller(self) -> Caller | None:
        """Who called, once that is known."""

    @property
    def valid(self) -> Valid | None:
        """The params, once they are valid."""


def _cause(error: BaseException) -> BaseException:
    """The driver's error behind a DatabaseError; any other error itself."""
    return (error.__cause__ or error) if isinstance(error, DatabaseError) else error


def place_of(error: BaseException) -> str:
    """The error's type and where it was raised: `KeyError at services/orders.py:12 in create`.

    The error of a service outside of this process says itself what happened.
    """
    if isinstance(error, ServiceAnswerError):
        return str(error)
    cause = _cause(error)
    frame = traceback.extract_tb(cause.__traceback__)[-1]
    file = "/".join(Path(frame.filename).parts[-2:])
    return f"{type(cause).__name__} at {file}:{frame.lineno} in {frame.name}"


def without_secrets(error: BaseException, route: Route | None, progress: Progress) -> str:
    """The text of an error for the log; only its type if the route has secret params.

    An error's text may quote what the caller sent: the token and the texts of params become `…`.
    """
    cause = _cause(error)
    if route and (route.sensitive_params or route.params.has_secrets):
        return type(cause).__name__
    text = repr(cause)
    for sent in _texts(progress):
        # As `repr` writes it, without the quotes.
        text = text.replace(sent, "…").replace(repr(sent)[1:-1], "…")
    return text


def _texts(progress: Progress) -> list[str]:
    """The token and every text of the params, longest first: one may contain another."""
    texts = [progress.caller.token or ""] if progress.caller else []
    pending: list[Any] = [progress.valid.params] if progress.valid else []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            texts.append(value)
    return sorted((text for text in texts if len(text) >= MIN_SECRET), key=len, reverse=True)
