"""Work on a hundred thousand records in bearable time."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

BATCH = 2000


@contextmanager
def paused_gc() -> Iterator[None]:
    """Pause the garbage collector: it would take most of the time, and the records all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items, in lists of `BATCH`."""
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
