"""What sending means, whoever carries the message: a receipt, or a fault with its meaning."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias


class Message(NamedTuple):
    """One mail to one recipient: `template` is a slug, `merge` its variables by name."""

    template: str
    email: str | None
    name: str | None
    merge: Mapping[str, Any]


class SendError(Exception):
    """A message that was not sent; the text is for people and holds no secret.

    `name` is short and stays the same for the same fault; `transient` is whether the same message
    may fare better later.
    """

    def __init__(self, name: str, text: str, *, transient: bool) -> None:
        super().__init__(text)
        self.name = name
        self.transient = transient


Transport: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""Sends a payload of the outbox under an id of its own; answers a receipt, raises SendError."""
