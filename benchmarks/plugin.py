"""Time of a test of the pytest plugin, each with a gateway and a database of its own.

`python benchmarks/plugin.py` makes an application with `gateway init`, and runs 100 tests one after
the other and in two processes, with and without the template of an earlier run. `--tests 4` runs
fewer.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.dev.scaffold.application import make_application

TESTS = 100
CACHE = ".pytest_cache"
LOG = Path("templates")

SOURCE = """\
import asyncio
from pathlib import Path

import asyncpg
import pytest


async def templates(url):
    connection = await asyncpg.connect(url)
    try:
        names = "select oid from pg_database where datname ~ '^gateway_template_'"
        return [row["oid"] for row in await connection.fetch(names)]
    finally:
        await connection.close()


@pytest.mark.parametrize("number", range({tests}))
def test_call(gateway, number):
    assert gateway.call("greetings.create", name="Ada").code == 200
    if number % 10 == 0:
        with Path("{log}").open("a") as log:
            log.write(f"{{asyncio.run(templates(gateway.database))}}\\n")
"""


class Run(NamedTuple):
    """A run of all tests: seconds in all, and the templates that its databases were copied from."""

    name: str
    seconds: float
    templates: int


def measure(folder: Path, tests: int) -> Iterator[Run]:
    """Run the tests in each way."""
    make_application(folder)
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_calls.py").write_text(SOURCE.format(tests=tests, log=LOG))
    for name, words in (("one process", []), ("two processes", ["-n", "2"])):
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        (folder / LOG).unlink(missing_ok=True)
        yield Run(f"{name}, first run", _seconds(folder, words, tests), _templates(folder))
        yield Run(f"{name}, later run", _seconds(folder, words, tests), _templates(folder))


def _seconds(folder: Path, words: list[str], tests: int) -> float:
    """Seconds of a run from the start of pytest to its end."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", *words],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(rf"^{tests} passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
    return time.monotonic() - began


def _templates(folder: Path) -> int:
    return len(set((folder / LOG).read_text().splitlines()))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=TESTS, help="Number of tests.")
    tests: int = parser.parse_args().tests
    print(f"| {tests} tests | seconds | ms a test | templates |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for run in measure(Path(folder, "shop"), tests):
            each = 1000 * run.seconds / tests
            print(f"| {run.name} | {run.seconds:.1f} | {each:.0f} | {run.templates} |", flush=True)


if __name__ == "__main__":
    main()
