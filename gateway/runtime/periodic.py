"""Writing behind: what requests leave in memory goes to the database a little later."""

import asyncio
from collections.abc import Awaitable, Callable


async def write_behind(flush: Callable[[], Awaitable[None]], every: float) -> None:
    """Flush every so many seconds, until cancelled; then once more."""
    try:
        while True:
            await asyncio.sleep(every)
            await flush()
    except asyncio.CancelledError:
        await flush()
        raise
