"""Large bodies take turns: to parse one holds the event loop for some milliseconds."""

import asyncio

LARGE_BODY = 64 * 1024
"""Bytes from which a body waits for its turn."""

BYTES_PER_SECOND = 50 * 1024 * 1024
"""Twice the time that a worker needs to parse a body: half of it is for other requests."""


class LargeBodyTurns:
    """Lets one large body after the other through, with time for other requests between them.

    Without it several that are complete at the same moment would hold the loop one after the other.
    A body that comes alone does not wait.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def wait(self, size: int) -> None:
        """Wait for the turn of a body of `size` bytes; the caller then parses it at once."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if (pause := self._free_at - loop.time()) > 0:
                await asyncio.sleep(pause)
            self._free_at = loop.time() + size / BYTES_PER_SECOND
