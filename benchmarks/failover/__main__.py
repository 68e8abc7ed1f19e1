"""`make cluster`: builds the clusters, lets the faults happen, and exits 1 unless all held."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from failover.course import run
from failover.faults import FAULTS, SMOKE
from failover.network import build_bridge
from gateway.runtime import log

PROGRAMS = ("etcd", "patroni", "pgbouncer", "haproxy", "keepalived", "ip", "nsenter", "unshare")

SMOKE_SLACK = 2.0
"""What multiplies the limits of seconds in the short run, since CI may run beside other work."""


def main() -> None:
    """Run, and keep the logs if anything did not hold."""
    log.configure("critical")
    options = _options()
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        sys.exit(f"not on the PATH: {', '.join(missing)}; `make cluster` installs them")
    build_bridge()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="failover-"))
    # PostgreSQL runs as another user.
    folder.chmod(0o755)
    held = True
    for kind, names in _plan(options):
        course = run(
            names,
            folder / kind,
            is_synchronous=kind == "synchronous",
            slack=SMOKE_SLACK if options.smoke else 1,
        )
        try:
            held = uvloop.run(course) and held
        except (TimeoutError, RuntimeError) as error:
            # Such as a database that does not become whole: the faults that follow need it.
            print(f"\nthe run with {kind} replication ended early: {error}", flush=True)
            held = False
    if held:
        print("everything held")
        shutil.rmtree(folder)
    else:
        sys.exit(f"something did not hold; the logs are in {folder}")


def _plan(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """The faults of each cluster."""
    usual = [name for name, fault in FAULTS.items() if not fault.may_lose]
    names = options.only or (list(SMOKE) if options.smoke else usual)
    control = [name for name in names if FAULTS[name].is_control and not options.smoke]
    plan = {"synchronous": names, "asynchronous": control}
    return [(kind, some) for kind, some in plan.items() if some and kind in options.replication]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m failover", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="only the most important faults")
    parser.add_argument("--only", nargs="*", choices=FAULTS, help="only these faults")
    both = ["synchronous", "asynchronous"]
    parser.add_argument(
        "--replication", nargs="*", choices=both, default=both, help="which cluster"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
