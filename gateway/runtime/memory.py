"""Memory of the process: free parts go back to the system, long-lived ones onto huge pages.

So a flood of bodies does not stay, and a large table of routes is quick to read.

A request reads about a hundred addresses spread over the table. With pages of 4 KiB each read may
cost a walk through the page tables: a tenth of a request's time at 100,000 routes. Older kernels
and systems other than Linux keep their small pages.
"""

import ctypes
import gc
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

COLLECT_AFTER = 50_000
"""New objects, such as dicts and tasks, that are not freed; about 5 MB."""

MIN_ROUTES = 10_000
"""A table with fewer routes fits into the processor's caches."""

HUGE_PAGE = 2 * 1024 * 1024
MADV_COLLAPSE = 25
"""From linux/mman.h, since Linux 6.1: synchronous, on memory in use, in any THP mode."""

_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?\nSize: +(\d+) kB\n(?:.*\n){2}"
    r"Rss: +(\d+) kB",
    re.MULTILINE,
)
_MIN_SHARE = 0.9
"""The used share of a mapping above which huge pages need hardly more memory."""


def collect_rarely() -> None:
    """Let the garbage collector run only after `COLLECT_AFTER` new objects.

    Requests leave no reference cycles. With Python's thresholds, a thousand new connections start a
    collection of everything that they hold, which takes 30 ms.
    """
    gc.set_threshold(COLLECT_AFTER, 10, 10)


def use_huge_pages() -> int:
    """Move the heap onto huge pages; return how many. Takes half a second for 150 MB.

    It moves one page at a time, since a request that needs new memory waits during a copy.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    addresses = list(_candidates())
    return sum(madvise(address, HUGE_PAGE, MADV_COLLAPSE) == 0 for address in addresses)


def trim() -> bool:
    """Give memory that is free back to the system, where glibc has `malloc_trim`; whether it has.

    By itself it gives back only what is at the end of the heap.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return False
    trim(0)
    return True


def resident() -> int:
    """The bytes of memory that the process holds; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def _candidates() -> Iterator[int]:
    """The addresses of complete huge pages in anonymous memory that is mostly in use."""
    for start, end, size, used in _MAPPING.findall(Path("/proc/self/smaps").read_text()):
        if int(used) >= _MIN_SHARE * int(size):
            first = -(-int(start, 16) // HUGE_PAGE) * HUGE_PAGE
            yield from range(first, int(end, 16) - HUGE_PAGE + 1, HUGE_PAGE)
