"""What makes work on a hundred thousand records bearable."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

BATCH = 2000


@contextmanager
def without_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: of so many records none is, and looking takes most time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items, in lists of `BATCH`."""
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
