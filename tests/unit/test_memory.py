"""Huge pages: memory keeps its content, and moves onto them where the kernel supports it."""

import os
import platform
import re
import subprocess
import sys

from support.harness import ROOT

# In another process, so that the memory of the test run stays as it is.
PROGRAM = """
from pathlib import Path
from gateway.runtime import memory
kept = [bytes([n % 251]) * 65536 for n in range(1000)]
done = memory.use_huge_pages()
assert all(part == bytes([n % 251]) * 65536 for n, part in enumerate(kept))
print(done, Path("/proc/self/smaps_rollup").read_text())
"""


def can_collapse() -> bool:
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    is_new = version is not None and tuple(map(int, version.groups())) >= (6, 1)
    return is_new and os.path.exists("/sys/kernel/mm/transparent_hugepage")  # noqa: PTH110


def test_memory_in_use_moves_onto_huge_pages_unchanged() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    pages = int(done.split()[0])
    assert (pages > 10) == can_collapse()
    [kilobytes] = re.findall(r"^AnonHugePages: +(\d+) kB", done, re.MULTILINE)
    assert int(kilobytes) >= pages * 2048
