"""Checks of `reads`: which routes may read from a replica."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.database.replicas import MAX_STALE
from gateway.manifest.source.diagnostic import YamlPath

MIN_STALE = 1.0
"""Seconds; the age of a replica's data is measured twice a second."""

IDENTITY = frozenset(("clients", "sessions", "users"))
"""The services of users and tokens: what they read decides who may call."""

_WRITES = frozenset(("PUT", "PATCH", "DELETE"))


def diagnostics(
    record: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[YamlPath, str]]:
    """The errors of a route's `reads`, each with its path in the route."""
    if "reads" not in record:
        return
    if not MIN_STALE <= record["reads"]["stale"] <= MAX_STALE:
        yield ("reads", "stale"), f"must be at least {MIN_STALE:g}s and at most {MAX_STALE:g}s"
    if record["method"] in _WRITES:
        yield ("reads",), f"{record['method']} writes; only GET and POST may read from a replica"
    if record["idempotency"] != "off":
        yield ("reads",), "a route that takes an Idempotency-Key writes; remove `reads`"
    service = record["handler"].partition(".")[0]
    if services.get(service, {}).get("kind") == "http":
        yield ("reads",), f"{service} of kind http has a database of its own, if any"
    if service in IDENTITY:
        yield ("reads",), f"{service} decides who may call, and is read from the primary alone"
