"""The part of a service's record that only services of `kind: http` have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_TIMEOUT = 5.0
DEFAULT_RETRIES = 1
DEFAULT_INTERVAL = 5.0

KEYS = ("endpoints", "secret", "timeout", "retries", "health")
REFERENCE = "env:"
"""The prefix of a secret that names an environment variable."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A GET request that checks an endpoint each `interval` seconds."""

    path: str
    interval: float


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an http service is, and how it is called.

    `secret_variable` is the environment variable with the key that signs calls. `timeout` bounds
    one attempt, in seconds; `retries` is how often a call may be tried again.
    """

    endpoints: tuple[str, ...]
    secret_variable: str
    timeout: float
    retries: int
    health: HealthCheck | None


def upstream_from(record: Mapping[str, Any]) -> Upstream | None:
    """The upstream of a service's stored record; None for another kind of service."""
    if record["kind"] != "http":
        return None
    health = record["health"]
    return Upstream(
        endpoints=tuple(record["endpoints"]),
        secret_variable=record["secret"].removeprefix(REFERENCE),
        timeout=record["timeout"],
        retries=record["retries"],
        health=health and HealthCheck(path=health["path"], interval=health["interval"]),
    )


def upstream_fields(upstream: Upstream | None) -> dict[str, Any]:
    """The fields of a stored record: the inverse of `upstream_from`."""
    if upstream is None:
        return {}
    health = upstream.health
    return {
        "endpoints": list(upstream.endpoints),
        "secret": REFERENCE + upstream.secret_variable,
        "timeout": upstream.timeout,
        "retries": upstream.retries,
        "health": health and {"path": health.path, "interval": health.interval},
    }
