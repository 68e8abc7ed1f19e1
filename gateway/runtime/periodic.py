"""Work that is done again and again beside the requests."""

import asyncio
from collections.abc import Awaitable, Callable


async def flush_periodically(flush: Callable[[], Awaitable[None]], interval: float) -> None:
    """Flush every `interval` seconds until cancelled, then once more."""
    try:
        while True:
            await asyncio.sleep(interval)
            await flush()
    except asyncio.CancelledError:
        await flush()
        raise
