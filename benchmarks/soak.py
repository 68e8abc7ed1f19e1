"""Soak test: an hour of calls, applies, log-ins, mail and revocations, to see what grows.

`python benchmarks/soak.py --minutes 60` starts an embedded PostgreSQL, a stand-in for Mandrill and
`gateway serve --workers 2`, and sends 500 calls a second from another process. Every ten seconds it
appends a sample to a file: memory, descriptors and threads of each process, latencies, answers,
database connections, and the latencies of a bare server beside it. At the end it prints a verdict;
`--report FILE` prints the verdict on the samples of an earlier run, `--write` writes the page.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop
from bench.database import DURABLE, ROOT, SIZE, Database, prepare
from bench.machine import conditions
from bench.processes import served
from bench.targets import PYTHON_PATH
from mail import serve_stand_in
from propagation import running_gateway, wait_until_started
from soaking import bare, report, samples
from soaking.changes import INTERVAL, PROBES, ROLELESS, Changes
from soaking.mix import RATE
from soaking.results import PROCESSES, Soak
from soaking.verdict import judge

from gateway.database.connect import Connection, connect
from gateway.dev.demo import APPLICATION
from gateway.dev.mandrill import API
from gateway.dev.postgres import Cluster
from gateway.identity import issue
from gateway.manifest.check import check

WORKERS = len(PROCESSES) - 1
WINDOW = 10.0
CLIENT = "client@example.com"
SETTINGS = {
    "GATEWAY_MANDRILL_API_KEY": "soak",
    # All callers share one address here, so limits by address must not stop them.
    "GATEWAY_ADDRESS_GUESSES": "1000000",
    "GATEWAY_ACCOUNT_GUESSES": "1000000",
    "GATEWAY_UNKNOWN_CALLERS": "1000000",
}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def start_load(database: Database, client: str, options: Any) -> asyncio.subprocess.Process:
    """Start the process that sends the calls."""
    options = {**options, "callers": database.tokens, "client": client}
    command = (sys.executable, "-m", "soaking.load", orjson.dumps(options).decode())
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=environment
    )


async def sample(line: dict[str, Any], changes: Changes, connection: Connection) -> dict[str, Any]:
    """A line of the load, with what the processes and the database use now."""
    pids = await asyncio.to_thread(samples.gateway_processes)
    return {
        **line,
        "processes": [samples.process(pid) for pid in pids],
        "database": await samples.database(connection),
        "changes": changes.take(),
        "load_average": os.getloadavg()[0],
    }


async def run(database: Database, mandrill: str, options: Any, folder: Path, file: Path) -> None:
    """Run the soak; append the samples to a file."""
    connection, own = await connect(database.url), await connect(database.url)
    client = await issue.session(own, CLIENT, APPLICATION)
    roleless = await issue.session(own, ROLELESS, APPLICATION)
    settings = {**SETTINGS, "GATEWAY_MANDRILL_URL": mandrill + API}
    url = database.url
    with running_gateway(url, url, folder / "data", WORKERS, **settings) as address:
        await wait_until_started(own, WORKERS)
        probes = [delay for delay in PROBES if delay <= options["seconds"]]
        port = port_of(address)
        changes = Changes(port, own, folder=folder, roleless=roleless, probes=probes)
        load = await start_load(database, client, {**options, "port": port})
        try:
            await write_samples(load, changes, connection, file)
        finally:
            with contextlib.suppress(ProcessLookupError):
                load.terminate()
            await load.wait()
    await asyncio.gather(connection.close(), own.close())


async def write_samples(
    load: asyncio.subprocess.Process, changes: Changes, connection: Connection, file: Path
) -> None:
    """Make changes, and append a sample to a file for each line of the load, until it ends."""
    changing = asyncio.create_task(changes.run())
    assert load.stdout
    with file.open("ab", buffering=0) as out:
        async for text in load.stdout:
            line = orjson.loads(text)
            if changing.done():
                changing.result()
            if "last" in line:
                changing.cancel()
                await asyncio.gather(changing, return_exceptions=True)
                await changes.finish()
                line = await last(line, changes, connection)
            else:
                line = await sample(line, changes, connection)
            out.write(orjson.dumps(line) + b"\n")


async def last(line: dict[str, Any], changes: Changes, connection: Connection) -> dict[str, Any]:
    """What is known only at the end: the last answers and changes, and the rows of the tables."""
    return {
        "answers": line["last"],
        "changes": changes.take(),
        "tables": await samples.tables(connection),
        "notifications": await samples.notifications(connection),
    }


def describe(seconds: float) -> str:
    """The conditions of a run."""
    return (
        f"{seconds / 60:.1f} minutes from {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, "
        f"{RATE} calls a second, changes every {INTERVAL:.0f} s, {WORKERS} workers; "
        f"{conditions(pinned=False)}; the cores are shared with the load and with other programs"
    )


def main() -> None:
    """Run and judge; exit 1 if something grows or an answer is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="length of the run (60)")
    parser.add_argument("--samples", type=Path, default=Path("soak.jsonl"), help="file to write")
    parser.add_argument("--report", type=Path, metavar="FILE", help="only judge samples of FILE")
    parser.add_argument("--write", action="store_true", help="write docs/explanation/soak.md")
    options = parser.parse_args()
    if not options.report:
        soak(options.minutes * 60, options.samples)
    results = Soak.read(options.report or options.samples)
    print("\n".join(report.section(results)))
    if options.write:
        report.write(results)
    sys.exit(any(finding.holds is False for finding in judge(results)))


def soak(seconds: float, file: Path) -> None:
    """Start everything, and run for `seconds`."""
    window = min(WINDOW, seconds / 5)
    file.write_bytes(orjson.dumps({"conditions": describe(seconds)}) + b"\n")
    with (
        served(serve_stand_in) as mandrill,
        served(bare.serve) as bare_address,
        tempfile.TemporaryDirectory() as name,
        Cluster(Path(name) / "pg", options={**DURABLE, **SIZE}) as cluster,
    ):
        database = asyncio.run(prepare(cluster.url(), check(ROOT / "routes.yaml")))
        options = {"bare_port": port_of(bare_address), "seconds": seconds, "window": window}
        uvloop.run(run(database, mandrill, options, Path(name), file))


if __name__ == "__main__":
    main()
