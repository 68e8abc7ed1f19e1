"""Ids of requests, traces and spans: 32 random hex digits, unguessable and unique."""

import os

_BATCH = 256

_unused: list[str] = []


def make() -> str:
    """A new id, from a batch: one `os.urandom` for many ids costs a tenth of one for each."""
    if not _unused:
        digits = os.urandom(16 * _BATCH).hex()
        _unused.extend(digits[start : start + 32] for start in range(0, len(digits), 32))
    return _unused.pop()


# A forked child must not use the ids of its parent.
os.register_at_fork(after_in_child=_unused.clear)
