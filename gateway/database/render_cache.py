"""A cache of rows rendered as JSON, by a hash of the rows."""

import secrets
from collections import OrderedDict
from collections.abc import Hashable

MAX_BYTES = 16 * 2**20
ENTRY_BYTES = 200
"""The approximate size of an entry, besides its JSON."""


class RenderCache:
    """JSON of rows, at most `max_bytes` in all.

    The key is a hash of the rows, `hash_array_extended(array_agg(row), seed)`. A service reads only
    the hash from the database, which is as fresh as the rows, and fetches the rows if the cache
    does not have their JSON.

    Each process has its own `seed`, so that an attacker cannot write two texts with the same hash.
    PostgreSQL hashes only 32 bits of numbers and times: do not rely on them alone to tell rows
    apart. Values that PostgreSQL considers equal, such as the numerics 1.0 and 1.00, have the same
    hash.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.seed = secrets.randbits(63)
        self._free = max_bytes
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()

    def find(self, key: Hashable) -> bytes | None:
        """The JSON of this key; None if the cache does not have it."""
        return self._entries.get(key)

    def keep(self, key: Hashable, json: bytes) -> None:
        """Store JSON under a key; the oldest entries are dropped until there is room."""
        if key in self._entries:
            self._free += ENTRY_BYTES + len(self._entries.pop(key))
        self._entries[key] = json
        self._free -= ENTRY_BYTES + len(json)
        while self._free < 0:
            self._free += ENTRY_BYTES + len(self._entries.popitem(last=False)[1])
