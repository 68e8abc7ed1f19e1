"""The plan: which faults come in which order, for how long, and after which pauses.

Three lanes run at the same time, so that faults of the gateway, of its database and of its mail
overlap. The plan depends on the seed alone.
"""

import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

WORKER = "SIGKILL of a worker"
WORKER_FROZEN = "worker frozen"
SUPERVISOR = "SIGKILL of the supervisor"
DEPLOY_TERM = "rolling deploy, SIGTERM"
DEPLOY_HUP = "rolling deploy, SIGHUP"
LOG = "log that is not read"
POSTGRES = "SIGKILL of PostgreSQL"
FROZEN = "PostgreSQL frozen"
TERMINATED = "backend terminated"
BACKEND = "SIGKILL of a backend"
LOCK = "table locked"
TIMEOUT = "statement_timeout, table locked"
MAIL_STOPPED = "Mandrill stopped"
MAIL_FAILING = "Mandrill answers 500"
MAIL_SILENT = "Mandrill does not answer"


class Lane(NamedTuple):
    """The faults of one part: each of them happens once, in a random order, before any is repeated.

    `pause` is the range of the seconds before a fault; `faults` has the range of its own seconds.
    """

    pause: tuple[float, float]
    faults: tuple[tuple[str, tuple[float, float]], ...]


AT_ONCE = (0.0, 0.0)
LANES: Mapping[str, Lane] = {
    "gateway": Lane(
        (1.0, 6.0),
        (
            (WORKER, AT_ONCE),
            (WORKER, AT_ONCE),
            (WORKER, AT_ONCE),
            (WORKER_FROZEN, (1.0, 4.0)),
            (SUPERVISOR, AT_ONCE),
            (DEPLOY_TERM, AT_ONCE),
            (DEPLOY_HUP, AT_ONCE),
            (LOG, (1.0, 4.0)),
        ),
    ),
    "database": Lane(
        (1.0, 6.0),
        (
            (POSTGRES, AT_ONCE),
            (TERMINATED, AT_ONCE),
            (BACKEND, AT_ONCE),
            (FROZEN, (1.0, 5.0)),
            (LOCK, (1.0, 3.0)),
            (TIMEOUT, (1.0, 3.0)),
        ),
    ),
    "mail": Lane(
        (4.0, 12.0),
        (
            (MAIL_STOPPED, (1.0, 4.0)),
            (MAIL_FAILING, (1.0, 4.0)),
            (MAIL_SILENT, (1.0, 4.0)),
        ),
    ),
}


class Step(NamedTuple):
    """One fault: `pause` before it and its length in seconds; `choice` (0 to 1) picks a victim."""

    fault: str
    pause: float
    seconds: float
    choice: float


def steps(seed: int, lane_name: str, pace: float = 1.0) -> Iterator[Step]:
    """The endless plan of one lane; `pace` multiplies its pauses."""
    rng, lane = random.Random(f"{seed} {lane_name}"), LANES[lane_name]
    while True:
        for fault, seconds in rng.sample(lane.faults, len(lane.faults)):
            yield Step(
                fault=fault,
                pause=rng.uniform(*lane.pause) * pace,
                seconds=rng.uniform(*seconds),
                choice=rng.random(),
            )
