"""How a worker uses its http services now, for the metrics and the console."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

EJECTED = "ejected"
"""The problem of an endpoint that failed, and gets no calls but probes."""
UNSIGNED = "its secret is not set or malformed"
"""The problem of all endpoints of a service whose calls the worker cannot sign."""


class EndpointUsage(NamedTuple):
    """One address of an endpoint; `latency` in seconds, None before the first answer.

    `problem` says why no calls are sent to it; empty if calls are.
    """

    endpoint: str
    address: str
    problem: str
    in_flight: int
    latency: float | None
    ejections: int


class EndpointTotals(NamedTuple):
    """What a worker has done with all addresses of an endpoint since it started.

    `attempts` are counted by their outcome, `seconds` is the time that they took in total.
    """

    attempts: Mapping[str, int]
    seconds: float
    ejections: int


class ServiceUsage(NamedTuple):
    """A service; `retries` and `shed`, the calls refused by its bulkhead, are totals.

    `totals` has those of each endpoint, also of former ones, by its URL.
    """

    name: str
    in_flight: int
    waiting: int
    retries: int
    shed: int
    endpoints: Sequence[EndpointUsage]
    totals: Mapping[str, EndpointTotals]
