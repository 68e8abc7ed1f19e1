"""Large pages: what was in memory is still there, and where the kernel can, it lies on them."""

import os
import platform
import re
import subprocess
import sys

from support.harness import ROOT

# In a process of its own: what becomes of this one's memory is nobody's business.
PROGRAM = """
from pathlib import Path
from gateway.runtime import memory
kept = [bytes([n % 251]) * 65536 for n in range(1000)]
done = memory.use_huge_pages()
assert all(part == bytes([n % 251]) * 65536 for n, part in enumerate(kept))
print(done, Path("/proc/self/smaps_rollup").read_text())
"""


def can_collapse() -> bool:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    new_enough = found is not None and tuple(map(int, found.groups())) >= (6, 1)
    return new_enough and os.path.exists("/sys/kernel/mm/transparent_hugepage")  # noqa: PTH110


def test_memory_in_use_moves_onto_large_pages_unharmed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    pages = int(done.split()[0])
    assert (pages > 10) == can_collapse()
    [kilobytes] = re.findall(r"^AnonHugePages: +(\d+) kB", done, re.MULTILINE)
    assert int(kilobytes) >= pages * 2048
