"""Rows as JSON, remembered for as long as they do not change."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import orjson
from asyncpg import Record

MOST = 10_000


class Rendered:
    """The rows that a worker has rendered, at most so many.

    A row is known by its key and a hash of all that it holds, which `hash_record_extended` makes in
    the database. So whoever asks there for keys and hashes alone gets an answer that is as fresh as
    the rows, and need not fetch, decode and encode those that are known. What is shown must come
    from what is hashed. Values that PostgreSQL takes for equal, such as the numerics 1.0 and 1.00,
    have one hash.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[tuple[Hashable, int], bytes] = {}

    def find(self, keys: Iterable[Hashable], hashes: Iterable[int]) -> Sequence[bytes | None]:
        """The JSON of each row, None where it is unknown."""
        return [*map(self._known.get, zip(keys, hashes, strict=True))]

    def learn(self, rows: Sequence[Record]) -> None:
        """Render rows with the columns `key`, `hash` and what is to be shown.

        If they are too many with those that are known, these are forgotten. One by one they would
        leave in the order in which they came, and take the rest of a page with them.
        """
        if len(self._known) + len(rows) > self._most:
            self._known.clear()
        for row in rows:
            self._known[row["key"], row["hash"]] = orjson.dumps(self.shown(row))

    @staticmethod
    def shown(row: Record) -> dict[str, Any]:
        """What is to be shown of such a row."""
        return {name: value for name, value in row.items() if name not in {"key", "hash"}}
