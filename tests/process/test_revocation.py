"""A revocation reaches four workers under load, with notices and without them."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from support.command import wait_until
from support.harness import execute
from support.outages import is_healthy, serving, workers_of

WORKERS = 4
CALLERS = 8
BOUND = 5.0
"""Seconds in which every worker must refuse a revoked token, even if a NOTIFY is lost."""

LOAD_DELAY = 0.5
REVOKE = "update gateway.sessions set revoked_at = now() where user_id = 1"
WITHOUT_NOTICES = "alter table sessions disable trigger tell_identity"


async def statuses_after(url: str, token: str, database: str, wait: float) -> set[str]:
    """Call without pause, revoke, wait; return the statuses of 100 calls on new connections."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as http:

        async def call() -> str:
            return str((await http.get("/services/statuses/count")).json().get("error", "none"))

        async def call_without_pause() -> None:
            while True:
                await call()

        assert await call() == "none"
        callers = [asyncio.create_task(call_without_pause()) for _ in range(CALLERS)]
        await asyncio.sleep(LOAD_DELAY)
        await execute(database, REVOKE)
        await asyncio.sleep(wait)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return await _on_new_connections(url, headers)


async def _on_new_connections(url: str, headers: dict[str, str]) -> set[str]:
    """The statuses of so many calls that each worker answers some."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits) as http:
        answers = [await http.get("/services/statuses/count") for _ in range(100)]
    return {answer.json().get("error", "none") for answer in answers}


@pytest.mark.parametrize(
    ("prepare", "wait"),
    [("select 1", 2.5), (WITHOUT_NOTICES, BOUND)],
    ids=["with-notices", "without-notices"],
)
def test_revoked_token_is_refused_by_every_worker(
    database: str, tokens: dict[str, str], tmp_path: Path, prepare: str, wait: float
) -> None:
    asyncio.run(execute(database, prepare))
    with serving(tmp_path, database, "--workers", str(WORKERS)) as command:
        wait_until(lambda: is_healthy(command.url(), WORKERS))
        workers_of(command, WORKERS)
        url, token = command.url(), tokens["employee"]
        # 202 is the code for a refused token in Shoplo's envelope.
        assert asyncio.run(statuses_after(url, token, database, wait)) == {"202"}
