"""What follows when a worker serves another table than before."""

import asyncio

from gateway.registry import store
from gateway.registry.revision import Revision
from gateway.registry.table import Table
from gateway.runtime import events, memory


def report_lost(lost: Revision, followed: Revision) -> None:
    """Emit the event of a database that no longer has the revision that was served."""
    events.emit(
        events.REGISTRY_WENT_BACK,
        lost_revision=lost.number,
        lost_uid=str(lost.uid),
        revision=followed.number,
        uid=str(followed.uid),
    )


async def clean_up(old: Table | None, loaded: Table) -> None:
    """After a full load, release the old table and compact memory, while requests are served."""
    if old:
        await store.release(old)
    if len(loaded.routes) >= memory.MIN_ROUTES:
        await asyncio.to_thread(memory.use_huge_pages)
