"""How a worker uses its http services now, for the metrics and the console."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class EndpointUsage(NamedTuple):
    """One address of an endpoint; `latency` in seconds, None before the first answer.

    `state` is `in use`, `ejected`, or what keeps calls away from it. The outcomes, `seconds` and
    `ejections` are totals of the process.
    """

    endpoint: str
    address: str
    state: str
    in_flight: int
    latency: float | None
    ejections: int
    outcomes: Mapping[str, int]
    seconds: float


class ServiceUsage(NamedTuple):
    """A service; `retries` and `shed`, the calls refused by its bulkhead, are totals."""

    name: str
    in_flight: int
    waiting: int
    retries: int
    shed: int
    endpoints: Sequence[EndpointUsage]
