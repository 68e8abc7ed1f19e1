"""What sending means for every transport: a receipt, or an error that says whether to try again."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Message(NamedTuple):
    """One mail to one recipient: `template` is a slug, `merge` its variables by name."""

    template: str
    email: str | None
    name: str | None
    merge: Mapping[str, Any]


class SendError(Exception):
    """A message that was not sent; the text is for people and holds no secret.

    `name` is short and the same for the same error; `transient` is whether the same message may be
    sent later.
    """

    def __init__(self, name: str, text: str, *, transient: bool) -> None:
        super().__init__(text)
        self.name = name
        self.transient = transient


class Transport(Protocol):
    """Sends the payloads of the outbox: mail through Mandrill, notifications to a webhook."""

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Send a payload under an id of its own; return a receipt. Raises SendError."""
