"""Password reset links: each is valid once, for an hour.

The message that mails a link is queued without its token, which is created when the message is
about to be sent. So the token is in the mail alone, and no dump of the database has it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.database.slices import delete_slice
from gateway.database.sql import load_queries
from gateway.identity import tokens

ABOUT = "password_resets"
"""`about` of the messages with a password reset link; their `about_id` is the user's id."""

PLACEHOLDER = "{token}"
"""Where the setting `reset_url` has the token."""

DEFAULT_TEMPLATE = "password-reset"
LIFETIME = 3600.0
"""Seconds from the attempt to send a link until it expires."""

TIMEOUT = 5.0

_SQL = load_queries(Path(__file__).with_name("accounts.sql"))


class ResetLinks:
    """Completes the messages of the outbox that mail a link."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def complete(self, payload: Mapping[str, Any], user_id: int) -> Mapping[str, Any] | None:
        """The payload with a new token in its link; None if the user may no longer log in.

        Every attempt to send has a token of its own: an earlier mail may have arrived although its
        outcome is unknown, and its link stays valid. Raises DatabaseError.
        """
        token = tokens.make(tokens.RESET_PREFIX)
        database = Database.within(self._pool, TIMEOUT)
        args = user_id, tokens.digest(token), LIFETIME
        if not await database.fetchrow(_SQL["create_reset"], *args):
            return None
        merge = payload["merge"]
        link = merge["reset_url"].replace(PLACEHOLDER, token)
        return {**payload, "merge": {**merge, "reset_url": link}}


async def sweep(database: Database) -> bool:
    """Delete a slice of the expired password reset links; return whether more may be left."""
    return await delete_slice(database, _SQL["sweep_resets"])
