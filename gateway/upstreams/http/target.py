"""A target: one address of an endpoint, and what this worker knows of it."""

from collections import Counter
from typing import Literal, NamedTuple, TypeAlias

from yarl import URL

from gateway.registry import endpoints
from gateway.registry.endpoints import Endpoint
from gateway.upstreams.http.eject import Ejector

Outcome: TypeAlias = Literal["answered", "undocumented", "unavailable", "cancelled"]

WEIGHT = 0.1
"""The weight of the newest call in the latency."""


class Key(NamedTuple):
    """What tells targets apart: the endpoint's URL and one of its addresses."""

    endpoint: str
    address: str


class Totals:
    """The attempts at one endpoint since the worker started, and its ejections.

    They outlive the targets: metrics must never go back.
    """

    __slots__ = ("attempts", "ejections", "seconds")

    def __init__(self) -> None:
        self.attempts: Counter[Outcome] = Counter()
        self.ejections = 0
        self.seconds = 0.0


class Target:
    """Where calls are sent; `latency` is a moving average in seconds, None before the first answer.

    `totals` are those of its endpoint, which all its targets share.
    """

    __slots__ = (
        *("checked_at", "ejector", "failed_checks", "host", "in_flight", "key", "latency"),
        *("peer", "server_name", "totals", "url"),
    )

    def __init__(self, key: Key, endpoint: Endpoint, totals: Totals) -> None:
        self.key = key
        self.peer = key.address, endpoint.port
        self.host = endpoints.authority(endpoint)
        # The certificate names the host, and the URL has its address.
        is_named = endpoint.scheme == "https" and key.address != endpoint.host
        self.server_name = endpoint.host if is_named else None
        self.url = endpoints.written(endpoint._replace(host=key.address))
        self.ejector = Ejector()
        self.failed_checks = 0
        self.checked_at = float("-inf")
        self.in_flight = 0
        self.latency: float | None = None
        self.totals = totals

    def at(self, path: str) -> URL:
        """The URL of a path, which is encoded already."""
        return URL(self.url + path, encoded=True)

    def count(self, outcome: Outcome, seconds: float) -> None:
        """Count an attempt that ended."""
        self.totals.attempts[outcome] += 1
        self.totals.seconds += seconds
        if outcome in {"answered", "undocumented"}:
            latency = seconds if self.latency is None else self.latency
            self.latency = latency + WEIGHT * (seconds - latency)
