"""Updates of rows by id that change every row that was named, or none."""

from collections.abc import Callable, Sequence

from gateway.database.connect import Connection


async def update_all(
    connection: Connection,
    query: str,
    ids: Sequence[int],
    *args: object,
    refusal: Callable[[str], Exception],
) -> int:
    """Run an update that returns the `id` of each changed row; return how many there are.

    The query gets `ids` as `$1`, null if there are none, then `args`. If it does not return every
    id, the update is rolled back. Raises `refusal` of the ids that were not returned, as text.
    """
    async with connection.transaction():
        rows = await connection.fetch(query, [*ids] or None, *args)
        unchanged = sorted({*ids} - {row["id"] for row in rows})
        if unchanged:
            raise refusal(", ".join(map(str, unchanged)))
    return len(rows)
