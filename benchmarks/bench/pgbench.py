"""pgbench in the place of a server: what PostgreSQL does with no server in front of it.

It runs the statements of the baselines with the values of the requests.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bench.calls import BODY
from bench.database import ORDERS, REQUEST_OF_ORDER
from bench.load import LoadError, Run
from bench.machine import on_the_first_core
from bench.targets import BASELINES
from gateway.dev.postgres import EmbeddedError, programs

CLIENTS = (4, 8, 16, 32, 64)
STEADY_CLIENTS = 16
"""The same number as the connections of each server."""

TRANSACTION = "pgbench, one transaction a call"
FUNCTION = "pgbench, one function a call"
NAMES = (TRANSACTION, FUNCTION)
_PARAM = re.compile(r"\$(\d+)")


def find_program() -> str | None:
    """The pgbench beside the PostgreSQL server that runs here, otherwise the one on PATH."""
    try:
        bundled = programs.find_binaries() / "pgbench"
    except EmbeddedError:
        return shutil.which("pgbench")
    return str(bundled) if bundled.exists() else shutil.which("pgbench")


def write(folder: Path) -> Mapping[str, Path]:
    """Write the scripts; return their files by name."""
    variables = f"\\set order random({ORDERS.start}, {ORDERS.stop - 1})\n"
    variables += f"\\set request :order + {REQUEST_OF_ORDER}\n"
    notes, order_notes = _text(BODY["notes"]), _text("n" * 100)
    function = f"select bench_create(:order, :request, {notes}, {order_notes});\n"
    transaction = f"begin;\n{_stage(notes)} \\gset\n{_status(order_notes)};\nend;\n"
    texts = {TRANSACTION: variables + transaction, FUNCTION: variables + function}
    files = {name: folder / f"pgbench-{index}.sql" for index, name in enumerate(NAMES)}
    for name, file in files.items():
        file.write_text(texts[name])
    return files


def _text(value: object) -> str:
    return f"'{value}'"


def _stage(notes: str) -> str:
    values = {1: ":order", 2: ":request", 3: "'scheduled'", 7: "1", 8: "'Ada Fields'", 9: notes}
    return _fill_in("stage", values).replace("returning *", "returning id, stage_start_at as began")


def _status(order_notes: str) -> str:
    ids = {1: ":request", 2: ":order", 3: ":id", 4: "'scheduled'", 6: ":began", 7: "1"}
    fields = {8: "'02134'", 9: "1", 10: "'Ada Fields'", 11: "1", 14: "'10:00'", 18: order_notes}
    return _fill_in("status", {**ids, **fields})


def _fill_in(name: str, values: Mapping[int, str]) -> str:
    """A statement of the baselines with values in place of its params; null for those without."""
    text = (BASELINES / "sql" / f"{name}.sql").read_text().strip()
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return _PARAM.sub(lambda param: values.get(int(param[1]), "null"), statement)


def run(program: str, url: str, script: Path, clients: int, seconds: float) -> Run:
    """Calls a second, and the mean latency in place of the median."""
    output = _run_pgbench(program, url, script, clients, seconds)
    mean = re.search(r"latency average = ([\d.]+)", output)
    if not mean:
        raise LoadError(output)
    return Run(rate=_rate(output), p50=float(mean[1]))


def at_rate(
    program: str, url: str, script: Path, clients: int, seconds: float, *, rate: float
) -> Run:
    """The latencies at a fixed rate with random arrivals, each from when its call was due."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-R", f"{rate:.0f}", "-l", "--log-prefix", f"{folder}/log"]
        output = _run_pgbench(program, url, script, clients, seconds, *options)
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    latencies = sorted(int(line.split()[2]) / 1000 for line in lines)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return Run(rate=_rate(output), p50=p50, p99=p99)


def _run_pgbench(
    program: str, url: str, script: Path, clients: int, seconds: float, *options: str
) -> str:
    address = urlsplit(url)
    query = parse_qs(address.query)
    server = ["-h", query["host"][0], "-p", query["port"][0], "-U", address.username or ""]
    load = ["-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "1", *options]
    duration = ["-T", str(int(seconds))] if seconds >= 1 else ["-t", "10"]
    command = [program, *server, *load, *duration, address.path[1:]]
    with on_the_first_core():
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise LoadError(completed.stderr)
    return completed.stdout


def _rate(output: str) -> float:
    rate = re.search(r"tps = ([\d.]+)", output)
    if not rate:
        raise LoadError(output)
    return float(rate[1])


def best_client_count(
    program: str, url: str, script: Path, seconds: float, clients: tuple[int, ...]
) -> int:
    """The number of clients that gives the highest rate."""
    rates = {count: run(program, url, script, count, seconds).rate for count in clients}
    return max(rates, key=lambda count: rates[count])
