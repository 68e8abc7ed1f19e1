"""Puts memory that stays onto large pages, so that a table of many routes is quick to reach.

A request reads a hundred places all over a table, and with pages of 4 KiB each of them may cost a
walk through the page tables besides: a tenth of a request's time at 100,000 routes. Kernels that
cannot do it, and systems other than Linux, keep their small pages.
"""

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MIN_ROUTES = 10_000
"""Routes of a table; a smaller one fits into what the processor keeps at hand."""

HUGE_PAGE = 2 * 1024 * 1024
MADV_COLLAPSE = 25
"""linux/mman.h, since Linux 6.1; works at once, on memory that is in use, in any THP mode."""

_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?\nSize: +(\d+) kB\n(?:.*\n){2}"
    r"Rss: +(\d+) kB",
    re.MULTILINE,
)
_MIN_SHARE = 0.9
"""Share of a mapping in use from which on large pages take hardly more memory."""


def use_huge_pages() -> int:
    """Move the heap onto large pages, and answer how many; half a second for 150 MB.

    One page at a time: while one is copied, a request that needs new memory waits for it.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(madvise(at, HUGE_PAGE, MADV_COLLAPSE) == 0 for at in list(_candidates()))


def _candidates() -> Iterator[int]:
    """Where a whole large page lies in anonymous memory that is mostly in use."""
    for start, end, size, used in _MAPPING.findall(Path("/proc/self/smaps").read_text()):
        if int(used) >= _MIN_SHARE * int(size):
            first = -(-int(start, 16) // HUGE_PAGE) * HUGE_PAGE
            yield from range(first, int(end, 16) - HUGE_PAGE + 1, HUGE_PAGE)
