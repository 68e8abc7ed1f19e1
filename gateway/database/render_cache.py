"""Rows as JSON, remembered for as long as they do not change."""

import secrets
from collections import OrderedDict
from collections.abc import Hashable

MAX_BYTES = 16 * 2**20
ENTRY_BYTES = 200
"""Bytes that an entry takes beside its JSON, about."""


class RenderCache:
    """JSON of rows that a worker was sent before, at most so many bytes.

    It is known by a hash of the rows that it shows, `hash_array_extended(array_agg(row), seed)`. So
    whoever asks the database for the hash alone gets an answer that is as fresh as the rows, and
    need not fetch them if it is known.

    The seed is this process's own, so that nobody can write two texts of one hash on purpose. Of
    numbers and times PostgreSQL hashes 32 bits: tell rows apart by more than those. Values that it
    takes for equal, such as the numerics 1.0 and 1.00, have one hash.
    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        self.seed = secrets.randbits(63)
        self._left = most
        self._known: OrderedDict[Hashable, bytes] = OrderedDict()

    def find(self, key: Hashable) -> bytes | None:
        """The JSON that is known by this key, None if there is none."""
        return self._known.get(key)

    def keep(self, key: Hashable, json: bytes) -> None:
        """Remember it, and forget what was remembered first until there is room."""
        if key in self._known:
            self._left += ENTRY_BYTES + len(self._known.pop(key))
        self._known[key] = json
        self._left -= ENTRY_BYTES + len(json)
        while self._left < 0:
            self._left += ENTRY_BYTES + len(self._known.popitem(last=False)[1])
