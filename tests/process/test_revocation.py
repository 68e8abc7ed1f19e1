"""A revocation over four workers under load: who was told, and who never hears of it."""

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
"""Seconds in which the contract wants every worker to know, also where NOTIFY is lost."""

SETTLE = 0.5
REVOKE = "update sessions set revoked_at = now() where user_id = 1"
DEAF = "alter table sessions disable trigger tell_identity"


async def statuses_after(url: str, token: str, database: str, wait: float) -> set[str]:
    """Call without pause, revoke, wait; then what a hundred calls on new connections are told."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as http:

        async def call() -> str:
            return str((await http.get("/services/statuses/count")).json().get("error", "none"))

        async def call_on() -> None:
            while True:
                await call()

        assert await call() == "none"
        callers = [asyncio.create_task(call_on()) for _ in range(CALLERS)]
        await asyncio.sleep(SETTLE)
        await execute(database, REVOKE)
        await asyncio.sleep(wait)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return await _on_new_connections(url, headers)


async def _on_new_connections(url: str, headers: dict[str, str]) -> set[str]:
    """So many that each worker has some."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits) as http:
        answers = [await http.get("/services/statuses/count") for _ in range(100)]
    return {answer.json().get("error", "none") for answer in answers}


@pytest.mark.parametrize(("prepare", "wait"), [("select 1", 2.5), (DEAF, BOUND)])
def test_no_worker_takes_a_token_that_was_revoked(
    database: str, tokens: dict[str, str], tmp_path: Path, prepare: str, wait: float
) -> None:
    asyncio.run(execute(database, prepare))
    with serving(tmp_path, database, "--workers", str(WORKERS)) as command:
        wait_until(lambda: is_healthy(command.url(), WORKERS))
        workers_of(command, WORKERS)
        url, token = command.url(), tokens["employee"]
        # 202 is what Shoplo's dialect says of a token that is refused.
        assert asyncio.run(statuses_after(url, token, database, wait)) == {"202"}
