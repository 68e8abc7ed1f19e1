"""Large bodies take turns: to parse one holds the event loop for some milliseconds."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping

from gateway import statuses
from gateway.values import Rejection

LARGE_BODY = 64 * 1024
"""Bytes from which a body waits for its turn."""

BYTES_PER_SECOND = 50 * 1024 * 1024
"""Twice the time that a worker needs to parse a body: half of it is for other requests."""

REFUSED_PAUSE = 1.0
"""Seconds before a client whose large body was refused may send another one."""

MAX_NETWORKS = 10_000
"""Clients whose pauses are remembered; if there are more, the oldest pause ends early."""


class LargeBodyTurns:
    """Lets one large body after the other through, with time for other requests between them.

    Without it several that are complete at the same moment would hold the loop one after the other.
    A lone body does not wait. A client that has no known token, and whose large body was refused,
    has to pause: otherwise it could repeat such bodies without end, and delay all others.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._paused_until: OrderedDict[str, float] = OrderedDict()

    async def wait(self, network: str, size: int) -> None:
        """Wait for the turn of a body of `size` bytes; the caller then parses it at once.

        Raises Rejection (rate-limit-exceeded) during the pause of a client.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            if (pause := self._free_at - loop.time()) > 0:
                await asyncio.sleep(pause)
            self.check_pause(network)
            self._free_at = loop.time() + size / BYTES_PER_SECOND

    def check_pause(self, network: str) -> None:
        """Raises Rejection (rate-limit-exceeded) during the pause of a client."""
        if not self._paused_until:
            return
        if self._paused_until.get(network, 0.0) > asyncio.get_running_loop().time():
            reason = "A large body from this address was refused a moment ago."
            raise Rejection(statuses.RATE_LIMIT_EXCEEDED, reason, retry_after=1)
        self._paused_until.pop(network, None)

    def pause(self, network: str) -> None:
        """Start the pause of a client; a refusal during the pause does not make it longer."""
        now = asyncio.get_running_loop().time()
        if self._paused_until.get(network, 0.0) > now:
            return
        self._paused_until[network] = now + REFUSED_PAUSE
        if len(self._paused_until) > MAX_NETWORKS:
            self._paused_until.popitem(last=False)


def announced_length(headers: Mapping[bytes, bytes]) -> int:
    """The body's length in bytes; 0 if the head does not announce it."""
    length = headers.get(b"content-length", b"0")
    return int(length[:20]) if length.isdigit() else 0


def may_be_large(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body of a request is large, or chunked, so that its length is not announced."""
    return b"transfer-encoding" in headers or announced_length(headers) > LARGE_BODY
