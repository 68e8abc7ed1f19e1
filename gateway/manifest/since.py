"""What has changed in the whole registry since an earlier revision."""

from gateway.database.connect import Connection
from gateway.manifest.bulk import paused_gc
from gateway.manifest.records import stored
from gateway.manifest.records.change import KINDS, Change, Key, with_renames
from gateway.manifest.records.stored import SQL, with_text
from gateway.manifest.rollback import UnknownRevisionError


async def changes_since(connection: Connection, revision: int) -> list[Change]:
    """The changes that lead from a revision to the newest one, as people read them.

    Raises UnknownRevisionError.
    """
    with paused_gc():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if await connection.fetchval(SQL["revision_uid"], revision) is None:
                raise UnknownRevisionError(revision)
            now = (await stored.read(connection)).records
            texts = await stored.schemas(connection)
            rows = await connection.fetch(SQL["undo_until"], revision)
    changes = []
    for row in sorted(rows, key=lambda row: KINDS.index(row["kind"])):
        key: Key = (row["kind"], row["name"])
        before, after = with_text(row["before"], texts), now.get(key)
        if before != after:
            changes.append(Change(kind=key[0], name=key[1], before=before, after=after))
    return with_renames(changes)
