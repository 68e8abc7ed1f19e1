"""Counts the instructions of one request with valgrind: other load does not change the figure.

`python benchmarks/instructions.py` runs this program under `valgrind --tool=callgrind` with two
numbers of requests, divides the difference by the requests between them, and prints the result
for the whole program and for the functions that take most. It exits with 1 above `LIMIT`.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import harness

FEW = 100
MANY = 400
MAX_ROWS = 25

LIMIT = 350_000
"""Instructions of a request that does nothing: a fifth more than CPython 3.11 takes."""

_ROW = re.compile(r"\s*([\d,]+) \([ \d.]+%\)\s+(?:<.*>|\?*:?)?(\S+)")


async def serve(requests: int) -> None:
    """Serve a number of requests over one connection."""
    edge, transport = harness.connection(harness.worker().app)
    request = harness.request()
    for _ in range(requests):
        assert (await harness.answer(edge, transport, request)).startswith(b"HTTP/1.1 200 ")


def count_instructions(requests: int, folder: Path) -> Counter[str]:
    """The instructions of a process, by C function and in total (`PROGRAM`)."""
    out = folder / str(requests)
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run(
        [*valgrind, sys.executable, __file__, str(requests)],
        check=True,
        capture_output=True,
        env=environment,
    )
    command = ["callgrind_annotate", "--threshold=100", str(out)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    instructions: Counter[str] = Counter()
    for line in text.splitlines():
        if row := _ROW.match(line):
            instructions[row[2].rpartition("/")[2]] += int(row[1].replace(",", ""))
    return instructions


def main() -> None:
    """Count and print."""
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed; tests/unit/test_cost.py counts calls without it")
    with tempfile.TemporaryDirectory() as folder:
        few, many = (count_instructions(requests, Path(folder)) for requests in (FEW, MANY))
    per_request = {name: (many[name] - few[name]) / (MANY - FEW) for name in many}
    for name, instructions in sorted(per_request.items(), key=lambda item: -item[1])[:MAX_ROWS]:
        print(f"{instructions:10,.0f}  {name}")
    if per_request["PROGRAM"] > LIMIT:
        sys.exit(f"a request takes more than {LIMIT:,} instructions")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        main()
