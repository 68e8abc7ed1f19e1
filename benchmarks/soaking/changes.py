"""What operators and users do while a soak runs: applies, log-ins, revocations, role changes.

Each revocation is checked: calls with the revoked token or role continue at the `PROBES`. The
gateway promises that none is accepted `PROMISE` seconds after the revocation was acknowledged.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from bench.calls import bearer, get, log_in, post, request
from bench.client import body_length
from propagation import wait_until_served

from gateway.database.connect import Connection
from gateway.dev.demo import APPLICATION
from gateway.identity import issue, users
from gateway.identity.users import Rights
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check

INTERVAL = 4.0
PROMISE = 5
PROBES = (*(n * 0.05 for n in range(20)), 1, 2, 3, 4, 5, 5.5, 6)
"""Seconds after a revocation at which calls are made, `PROBE_CALLS` at once."""

PROBE_CALLS = 4
ROLE = Rights(roles=("liaison",))
ROLELESS = "nobody@example.com"
ORDER = {"order_id": 7}
STATUS = "/api/v1/order_statuses/read"
COUNT = "/services/statuses/count"

MANIFEST = """\
version: 1
namespace: soak
services: {{soak: {{kind: python, deployed: false, title: Soak}}}}
routes:
  soak.read:
    method: GET
    path: "/soak/{number}/{{id:int}}"
    deployed: true
    title: Change {number}
    auth: public
    params: {{properties: {{id: {{type: integer, maximum: {number}}}}}}}
"""


async def call(port: int, sent: bytes) -> tuple[int, Any]:
    """Send a request over a connection of its own; return the HTTP code and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head[9:12]), orjson.loads(await reader.readexactly(body_length(head)))
    finally:
        writer.close()


class Changes:
    """Makes changes one after the other, and counts them and their outcomes.

    `roleless` is a token of a user without a role, `probes` are as `PROBES`.
    """

    def __init__(
        self,
        port: int,
        connection: Connection,
        folder: Path,
        roleless: str,
        probes: Sequence[float],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.took: dict[str, list[float]] = {}
        self._port = port
        self._connection = connection
        self._folder = folder
        self._roleless = roleless
        self._probes = probes
        self._checks: set[asyncio.Task[None]] = set()
        self._role_checks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Make a round of changes every `INTERVAL` seconds, until cancelled."""
        for number in itertools.count():
            started = time.perf_counter()
            await self._apply()
            await self._log_in_and_out()
            await self._issue_and_revoke()
            if number % 2:
                await self._revoke_role()
            else:
                await self._grant_role()
            await asyncio.sleep(max(0.0, started + INTERVAL - time.perf_counter()))

    async def finish(self) -> None:
        """Wait for the checks of the last revocations."""
        await asyncio.gather(*self._checks)

    def take(self) -> dict[str, Any]:
        """The counts so far, and the longest of each change since the last `take`, in ms."""
        took, self.took = self.took, {}
        longest = {name: round(max(times), 1) for name, times in took.items()}
        return {"counts": dict(self.counts), "longest": longest}

    async def _apply(self) -> None:
        self.counts["applies"] += 1
        file = self._folder / "soak.yaml"
        file.write_text(MANIFEST.format(number=self.counts["applies"]))
        [desired] = check(file)
        applied = await apply(self._connection, desired, Author("soak"))
        self._took(
            "apply until served", await wait_until_served(self._connection, applied.identity)
        )

    async def _log_in_and_out(self) -> None:
        started = time.perf_counter()
        code, body = await call(self._port, log_in())
        self._took("log-in", (time.perf_counter() - started) * 1000)
        self._expect("log-ins", body, is_right=code == 200)
        token = body["data"]["session"]["token"]
        await self._call_accepted("calls of new sessions", get(COUNT, token))
        sent = request("DELETE /api/v1/sessions/delete", b"", bearer(token))
        await self._call_accepted("log-outs", sent)
        self._check("log-out", get(COUNT, token))

    async def _issue_and_revoke(self) -> None:
        token = await issue.application_token(self._connection, APPLICATION, "*", "soak")
        await self._call_accepted("calls of new tokens", get(COUNT, token))
        [newest, *_] = sorted(
            await issue.application_tokens(self._connection, APPLICATION),
            key=lambda row: -int(row["id"]),
        )
        await issue.revoke(self._connection, newest["id"])
        self._check("token", get(COUNT, token))

    async def _grant_role(self) -> None:
        # Calls that check the last revocation would be accepted again.
        await asyncio.gather(*self._role_checks)
        await users.grant(self._connection, ROLELESS, ROLE)
        await self._call_accepted("calls with a new role", post(STATUS, ORDER, self._roleless))

    async def _revoke_role(self) -> None:
        await users.revoke(self._connection, ROLELESS, ROLE)
        self._role_checks = [self._check("role", post(STATUS, ORDER, self._roleless))]

    def _check(self, what: str, sent: bytes) -> asyncio.Task[None]:
        self.counts[f"revoked: {what}"] += 1
        task = asyncio.create_task(self._probe(what, sent, time.perf_counter()))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)
        return task

    async def _probe(self, what: str, sent: bytes, revoked: float) -> None:
        """Call at the probes with a revoked token or role; note when the last accepted began."""
        last_accepted = 0.0
        for delay in self._probes:
            await asyncio.sleep(max(0.0, revoked + delay - time.perf_counter()))
            started = time.perf_counter() - revoked
            codes = await asyncio.gather(*(call(self._port, sent) for _ in range(PROBE_CALLS)))
            self.counts["calls after a revocation"] += PROBE_CALLS
            if any(code == 200 for code, _ in codes):
                last_accepted = started
        self._took(f"accepted after: {what}", last_accepted * 1000)
        for seconds in (1, PROMISE):
            self.counts[f"accepted after {seconds} s"] += last_accepted >= seconds

    async def _call_accepted(self, name: str, sent: bytes) -> None:
        code, body = await call(self._port, sent)
        self._expect(name, body, is_right=code == 200)

    def _expect(self, name: str, body: Any, *, is_right: bool) -> None:
        self.counts[name] += 1
        if not is_right:
            self.counts[f"refused: {name}: {body.get('status')}"] += 1

    def _took(self, name: str, milliseconds: float) -> None:
        self.took.setdefault(name, []).append(milliseconds)
