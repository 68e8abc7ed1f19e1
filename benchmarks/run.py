"""Run the benchmarks: the gateway beside its peers, in turn, round after round.

`make bench` runs all and writes docs/benchmarks.md; `python benchmarks/run.py create` prints one.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import calls, load, machine, pgbench, report, targets
from bench.database import database
from bench.results import Found
from bench.workloads import WORKLOADS, Bench

SMOKE_SECONDS = 0.2


def main() -> None:
    """Measure and print, and write if that is asked for."""
    options = arguments()
    chosen = options.workloads or [*WORKLOADS]
    conditions = [machine.conditions()]
    if "routes" in chosen and not machine.tells_memory():
        chosen.remove("routes")
        conditions.append("Many routes are left out: this system does not tell a process's memory.")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        found = measure(Path(name), options, chosen, conditions)
    print("\n".join(report.text(found, conditions)))
    if options.write:
        report.write(found, conditions)
    sys.exit(len(found) < len(chosen))


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (5)")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each run (3)")
    parser.add_argument("--connections", type=int, default=64, help="of creates and lists (64)")
    parser.add_argument("--baselines", default=sys.executable, help="the baselines' python")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--smoke", action="store_true", help="one short round, few baselines")
    options = parser.parse_args(given)
    if unknown := {*options.workloads} - {*WORKLOADS}:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    if options.write and options.workloads:
        parser.error("--write replaces the whole section: it takes all workloads")
    if options.smoke:
        options.rounds, options.seconds = 1, SMOKE_SECONDS
    return options


def measure(
    folder: Path, options: argparse.Namespace, chosen: Sequence[str], conditions: list[str]
) -> list[Found]:
    """Start everything, run the workloads, and stop everything."""
    specs, missing = targets.specs(options.baselines, smoke=options.smoke)
    with (
        database(folder / "postgres") as made,
        targets.running(specs, made.url, folder) as running,
    ):
        bench = Bench(
            database=made,
            targets=running,
            requests=calls.write(folder, made.tokens),
            scripts=pgbench.write(folder),
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            pgbench=pgbench.program(),
            smoke=options.smoke,
        )
        found = list(each(bench, chosen))
    conditions += _about(options, made.version, [spec.version for spec in specs])
    conditions += [*missing, *bench.notes]
    return found


def each(bench: Bench, chosen: Sequence[str]) -> Iterator[Found]:
    """Run one after the other, and print each table as soon as it is there.

    A workload that fails is told of in the conditions, and the others go on.
    """
    for name in chosen:
        try:
            found = WORKLOADS[name](bench)
        except load.LoadError as error:
            bench.notes.append(f"{name} FAILED: {error}")
        else:
            print("\n".join(report.plain(found)), flush=True)
            yield found


def _about(options: argparse.Namespace, postgres: str, versions: list[str]) -> list[str]:
    beside = ", ".join(filter(None, versions))
    postgres = f"PostgreSQL {postgres}, fsync and synchronous_commit on"
    servers = f"{targets.CONNECTIONS} database connections a server; beside the gateway: {beside}"
    rounds = f"rounds of {options.seconds:g} s in turn: {options.rounds}, and one to warm up"
    tool = f"the load is {load.described(options.seconds)}, at a fixed rate our own client"
    return [f"{postgres}, {servers}", f"{rounds}; medians; {tool}"]


if __name__ == "__main__":
    main()
