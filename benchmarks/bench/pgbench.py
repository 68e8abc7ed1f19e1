"""pgbench: what PostgreSQL does with no server before it, in the server's place.

The statements are those of the baselines, with the values that the requests have.
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
"""As many connections as each server has."""

TRANSACTION = "pgbench, one transaction a call"
FUNCTION = "pgbench, one function a call"
NAMES = (TRANSACTION, FUNCTION)
_PARAM = re.compile(r"\$(\d+)")


def program() -> str | None:
    """The program beside the server's own, else the one on PATH."""
    try:
        beside = programs.find_binaries() / "pgbench"
    except EmbeddedError:
        return shutil.which("pgbench")
    return str(beside) if beside.exists() else shutil.which("pgbench")


def write(folder: Path) -> Mapping[str, Path]:
    """The scripts, by name."""
    pick = f"\\set order random({ORDERS.start}, {ORDERS.stop - 1})\n"
    pick += f"\\set request :order + {REQUEST_OF_ORDER}\n"
    notes, remarks = _text(BODY["notes"]), _text("n" * 100)
    function = f"select bench_create(:order, :request, {notes}, {remarks});\n"
    both = f"begin;\n{_stage(notes)} \\gset\n{_status(remarks)};\nend;\n"
    texts = {TRANSACTION: pick + both, FUNCTION: pick + function}
    files = {name: folder / f"pgbench-{number}.sql" for number, name in enumerate(NAMES)}
    for name, file in files.items():
        file.write_text(texts[name])
    return files


def _text(value: object) -> str:
    return f"'{value}'"


def _stage(notes: str) -> str:
    given = {1: ":order", 2: ":request", 3: "'scheduled'", 7: "1", 8: "'Ada Fields'", 9: notes}
    return _filled("stage", given).replace("returning *", "returning id, stage_start_at as began")


def _status(remarks: str) -> str:
    given = {1: ":request", 2: ":order", 3: ":id", 4: "'scheduled'", 6: ":began", 7: "1"}
    rest = {8: "'02134'", 9: "1", 10: "'Ada Fields'", 11: "1", 14: "'10:00'", 18: remarks}
    return _filled("status", {**given, **rest})


def _filled(name: str, values: Mapping[int, str]) -> str:
    """A statement of the baselines with values for its params; null where there is none."""
    text = (BASELINES / "sql" / f"{name}.sql").read_text().strip()
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return _PARAM.sub(lambda found: values.get(int(found[1]), "null"), statement)


def run(program: str, url: str, script: Path, clients: int, seconds: float) -> Run:
    """Calls a second, and the mean latency where others have a median."""
    said = _output(program, url, script, clients, seconds)
    mean = re.search(r"latency average = ([\d.]+)", said)
    if not mean:
        raise LoadError(said)
    return Run(_rate(said), float(mean[1]))


def at_rate(
    program: str, url: str, script: Path, clients: int, seconds: float, *, rate: float
) -> Run:
    """The latencies at a fixed rate with random arrivals, each from when it was due."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-R", f"{rate:.0f}", "-l", "--log-prefix", f"{folder}/log"]
        said = _output(program, url, script, clients, seconds, *options)
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    took = sorted(int(line.split()[2]) / 1000 for line in lines)
    p50, p99 = (took[int(len(took) * share)] for share in (0.5, 0.99))
    return Run(_rate(said), p50, p99)


def _output(
    program: str, url: str, script: Path, clients: int, seconds: float, *options: str
) -> str:
    address = urlsplit(url)
    query = parse_qs(address.query)
    where = ["-h", query["host"][0], "-p", query["port"][0], "-U", address.username or ""]
    how = ["-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "1", *options]
    length = ["-T", str(int(seconds))] if seconds >= 1 else ["-t", "10"]
    command = [program, *where, *how, *length, address.path[1:]]
    with on_the_first_core():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(done.stderr)
    return done.stdout


def _rate(said: str) -> float:
    found = re.search(r"tps = ([\d.]+)", said)
    if not found:
        raise LoadError(said)
    return float(found[1])


def best(program: str, url: str, script: Path, seconds: float, clients: tuple[int, ...]) -> int:
    """The number of clients with which it does most."""
    rates = {count: run(program, url, script, count, seconds).rate for count in clients}
    return max(rates, key=lambda count: rates[count])
