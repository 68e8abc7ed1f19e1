"""Request ids: 32 hex digits that nobody can guess and no two workers share."""

import os

_BATCH = 256

_waiting: list[str] = []


def make() -> str:
    """A new id. The system's random numbers are asked for many at once, which costs a tenth."""
    if not _waiting:
        text = os.urandom(16 * _BATCH).hex()
        _waiting.extend(text[at : at + 32] for at in range(0, len(text), 32))
    return _waiting.pop()


# A process that is forked must not go on with its parent's.
os.register_at_fork(after_in_child=_waiting.clear)
