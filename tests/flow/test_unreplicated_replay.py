"""A stored answer is given again only when a standby has it, too."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harness import execute
from support.manifests import migrated
from support.standbys import STANDBY_NAMES, set_on_server

from gateway.database.connect import Connection, connect
from gateway.dev.postgres import Cluster
from gateway.upstreams import idempotency
from gateway.upstreams.claims import Claim
from gateway.values import Rejection, Reply

CLAIM = Claim(key=b"k" * 32, params=b"p" * 32)
ANSWER = Reply({"id": 7})
SHUT_DOWN = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where wait_event = 'SyncRep'"
)
"""End what waits for a standby, as a server that shuts down does; its commit becomes visible."""

PATIENCE = 2.0
"""Seconds after which a caller has given up its commit."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose commits wait for a standby that is away."""
    with Cluster(tmp_path / "pg", options={"fsync": "off"}) as cluster:
        asyncio.run(migrated(cluster.url()))
        asyncio.run(set_on_server(cluster.url(), STANDBY_NAMES, "absent"))
        yield cluster.url()


async def claim_and_store(db: Connection) -> Reply | Rejection | None:
    """The answer that a call with the key gets; a first one stores it."""
    async with db.transaction():
        [outcome] = await idempotency.claim_or_replay(db, [CLAIM])
        if outcome is None:
            await idempotency.store(db, [CLAIM], [ANSWER])
    return outcome


async def call(url: str) -> Reply | Rejection | None:
    """Call on a connection of its own, and give up after a moment. Raises TimeoutError."""
    db = await connect(url)
    try:
        async with asyncio.timeout(PATIENCE):
            return await claim_and_store(db)
    finally:
        db.terminate()


def test_replay_waits_until_a_standby_has_the_stored_answer(server: str) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(call(server))
    asyncio.run(execute(server, SHUT_DOWN))
    with pytest.raises(TimeoutError):
        asyncio.run(call(server))
    asyncio.run(execute(server, SHUT_DOWN))
    asyncio.run(set_on_server(server, STANDBY_NAMES, ""))
    replayed = asyncio.run(call(server))
    assert isinstance(replayed, Reply)
    assert replayed.data == ANSWER.data
