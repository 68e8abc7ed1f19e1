"""What every transport does: send a message, and return a receipt or raise a `SendError`."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Message(NamedTuple):
    """One mail to one recipient: `template` is a slug, `merge` its variables by name."""

    template: str
    email: str | None
    name: str | None
    merge: Mapping[str, Any]


class SendError(Exception):
    """A message that was not sent; the text is for operators and contains no secret.

    `name` is short, and the same whenever the same error happens; `transient` is whether a later
    attempt may succeed.
    """

    def __init__(self, name: str, text: str, *, transient: bool) -> None:
        super().__init__(text)
        self.name = name
        self.transient = transient


class Transport(Protocol):
    """Sends messages of the outbox: mail through Mandrill, or notifications to a webhook."""

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Send a payload; return a receipt. `message_id` is unique. Raises SendError."""
