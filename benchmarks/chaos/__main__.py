"""`make chaos`: runs the faults and the load, judges, and exits 1 if anything was wrong."""

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from chaos.course import Options, run
from chaos.fleet import GatewayError
from gateway.runtime import log


def main() -> None:
    """Run, and keep the log if anything was wrong."""
    # This process logs too, since the stand-in for Mandrill runs in it.
    log.configure("critical")
    options = _options()
    print(
        f"seed {options.seed}: at most {options.seconds:g} s of faults, {options.callers} callers, "
        f"load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    # A short path: that of PostgreSQL's socket may have 103 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    is_right = False
    try:
        is_right = uvloop.run(run(options, folder))
    except* GatewayError as errors:
        print(*errors.exceptions, sep="\n")
    if is_right:
        print("nothing was wrong")
        shutil.rmtree(folder)
    else:
        print(f"something was wrong with seed {options.seed}; the logs are in {folder}")
    sys.exit(not is_right)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    seed = random.SystemRandom().randrange(100_000)
    for name, default, meaning in (
        ("seconds", 600.0, "seconds in which faults happen"),
        ("faults", 0, "the most faults in each lane; 0 means no limit"),
        ("seed", seed, "decides the plan; the seed of a run repeats its plan"),
        ("callers", 24, "the number of callers"),
        ("pace", 1.0, "multiplies the pauses between faults"),
    ):
        kind, text = type(default), f"{meaning} ({default})"
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    for name, meaning in (
        ("hurry", "do not wait for the leases of dead senders"),
        ("control", "do not flush commits; the run must then find lost writes"),
    ):
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
