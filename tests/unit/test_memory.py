"""Memory keeps its content on huge pages, and what is free goes back to the system."""

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

# Bytes that stay in use lie between the freed ones, so that the heap cannot shrink by itself.
FREED = """
from pathlib import Path
from gateway.runtime import memory
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
parts = [(bytes(100_000), bytes(600)) for _ in range(1000)]
used = resident()
parts = [small for _, small in parts]
assert used - resident() < 20_000_000
print(memory.trim(), used - resident())
"""


# A setting that a worker refuses, so that it ends at once.
REFUSED = """
import gc, socket
from gateway.runtime.errors import OperatorError
from gateway.serve import server
from gateway.settings import Settings
try:
    server.run(Settings.load({"GATEWAY_APP": "no-such-folder"}), socket.socket(), socket.socket())
except OperatorError:
    print(gc.get_threshold())
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


def test_memory_that_is_free_goes_back_to_the_system() -> None:
    command = [sys.executable, "-c", FREED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    trimmed, freed = done.split()
    assert (trimmed == "True") == (platform.libc_ver()[0] == "glibc")
    assert trimmed == "False" or int(freed) > 50_000_000


def test_memory_of_a_worker_is_searched_for_garbage_rarely() -> None:
    command = [sys.executable, "-c", REFUSED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert done == "(50000, 10, 10)\n"
