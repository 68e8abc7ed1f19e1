"""Run the benchmarks: the gateway beside its peers, in turn, round after round.

`make bench` runs all of them and writes docs/explanation/benchmarks.md;
`python benchmarks/run.py create` prints one.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import calls, load, machine, pgbench, report, targets
from bench.database import database
from bench.results import WorkloadResult
from bench.workloads import WORKLOADS, Bench

SMOKE_SECONDS = 0.2


def main() -> None:
    """Measure and print; write the page with `--write`."""
    options = arguments()
    chosen = options.workloads or [*WORKLOADS]
    conditions = [machine.conditions()]
    if "routes" in chosen and not machine.reports_memory():
        chosen.remove("routes")
        conditions.append(
            "Many routes are left out: this system does not report the memory of a process."
        )
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        results = measure(Path(name), options, chosen, conditions)
    print("\n".join(report.goals_table(results, conditions)))
    if options.write:
        report.write(results, conditions)
    sys.exit(len(results) < len(chosen))


def arguments(command_line: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each workload (4)")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each run (3)")
    parser.add_argument(
        "--connections", type=int, default=64, help="connections of creates and lists (64)"
    )
    parser.add_argument(
        "--baselines", default=sys.executable, help="the Python that has the peers installed"
    )
    parser.add_argument("--write", action="store_true", help="write docs/explanation/benchmarks.md")
    parser.add_argument("--smoke", action="store_true", help="one short round with few peers")
    options = parser.parse_args(command_line)
    if unknown := {*options.workloads} - {*WORKLOADS}:
        parser.error(f"unknown workload: {', '.join(sorted(unknown))}")
    if options.write and options.workloads:
        parser.error("--write replaces the whole section, so it runs all workloads: name none")
    if options.smoke:
        options.rounds, options.seconds = 1, SMOKE_SECONDS
    return options


def measure(
    folder: Path, options: argparse.Namespace, chosen: Sequence[str], conditions: list[str]
) -> list[WorkloadResult]:
    """Start the database and the servers, run the workloads, and stop all."""
    specs, missing = targets.specs(options.baselines, smoke=options.smoke)
    with (
        database(folder / "postgres") as bench_database,
        targets.running(specs, bench_database, folder) as servers,
    ):
        bench = Bench(
            database=bench_database,
            targets=servers,
            requests=calls.write(folder, bench_database.tokens),
            scripts=pgbench.write(folder),
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            pgbench=pgbench.find_program(),
            smoke=options.smoke,
        )
        results = list(run_workloads(bench, chosen))
    # Several peers may have a package in common.
    versions = list(dict.fromkeys(itertools.chain(*(spec.versions for spec in specs))))
    conditions += _describe_run(options, bench_database.version, versions)
    conditions += [*missing, *bench.notes]
    return results


def run_workloads(bench: Bench, chosen: Sequence[str]) -> Iterator[WorkloadResult]:
    """Run one workload after the other, and print each table when it is complete.

    A workload that fails is reported in the conditions, and the others continue.
    """
    for name in chosen:
        try:
            result = WORKLOADS[name](bench)
        except load.LoadError as error:
            bench.notes.append(f"{name} FAILED: {error}")
        else:
            print("\n".join(report.medians_table(result)), flush=True)
            yield result


def _describe_run(options: argparse.Namespace, postgres: str, versions: list[str]) -> list[str]:
    peers = ", ".join(versions)
    python = machine.describe_python(options.baselines)
    postgres = f"PostgreSQL {postgres}, fsync and synchronous_commit on"
    servers = f"{targets.CONNECTIONS} database connections a server; peers: {python}, {peers}"
    rounds = f"{options.rounds} rounds of {options.seconds:g} s in turn, after one to warm up"
    tool = load.describe_tool(options.seconds)
    return [
        f"{postgres}, {servers}",
        f"{rounds}; medians; the load comes from {tool}; at a fixed rate, from our own client",
    ]


if __name__ == "__main__":
    main()
