"""Wait until the running workers serve a revision."""

import asyncio

from gateway.database.connect import Connection
from gateway.registry import store
from gateway.registry.revision import Revision
from gateway.runtime.errors import OperatorError

POLL_INTERVAL = 0.02
MIN_TIMEOUT = 0.1
"""Seconds; enough to ask the database once which workers are late."""


class LateError(OperatorError):
    """Some workers do not serve the revision in time; the text names them."""


async def wait_for_workers(connection: Connection, revision: Revision, seconds: float) -> None:
    """Return when every live worker serves a revision. Raises LateError after the time."""
    seconds = max(seconds, MIN_TIMEOUT)
    late: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            # The workers are other processes: no event in this one reports their progress.
            while late := await store.late_workers(connection, revision):  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError as error:
        raise LateError(_late_message(revision.number, seconds, late)) from error


def _late_message(revision: int, seconds: float, late: list[str]) -> str:
    if not late:
        return (
            f"revision {revision} is applied, but the database did not say within {seconds:g} s "
            "which workers serve it"
        )
    return (
        f"revision {revision} is applied, but after {seconds:g} s some workers do not serve it "
        f"yet: {'; '.join(late)}"
    )
