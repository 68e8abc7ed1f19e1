"""Wait until the running workers serve a revision."""

import asyncio

from gateway.database.connect import Connection
from gateway.registry import store

POLL_INTERVAL = 0.02
MIN_TIMEOUT = 0.1
"""Seconds in which the database can say at least once which workers are late."""


class LateError(Exception):
    """Some workers do not serve the revision in time; the text names them."""


async def wait_for_workers(connection: Connection, revision: int, seconds: float) -> None:
    """Return when every live worker serves a revision. Raises LateError after so many seconds."""
    seconds = max(seconds, MIN_TIMEOUT)
    late: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            # The workers are elsewhere: no event of this process says that they follow.
            while late := await store.late_workers(connection, revision):  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError as error:
        raise LateError(
            f"applied, but after {seconds:g} s revision {revision} is not served by: "
            + ("; ".join(late) or "nobody knows whom, since the database does not answer")
        ) from error
