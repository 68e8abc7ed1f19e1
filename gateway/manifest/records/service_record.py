"""A service as `apply` stores it: every default written out, and times in seconds."""

from collections.abc import Iterator
from typing import Any

from gateway.manifest.records.route_record import MAX_NUMBER, measure
from gateway.manifest.source.diagnostic import YamlPath
from gateway.registry import endpoints
from gateway.registry.http_record import DEFAULT_INTERVAL, DEFAULT_RETRIES, DEFAULT_TIMEOUT, KEYS


def service_record(entry: dict[str, Any]) -> dict[str, Any]:
    """A service's record from its entry in the manifest."""
    record = {"settings": {}, **entry}
    if entry["kind"] != "http":
        return record
    health = entry.get("health")
    return {
        **record,
        "timeout": measure(entry["timeout"]) if "timeout" in entry else DEFAULT_TIMEOUT,
        # JSON Schema also accepts 1.0 as an integer.
        "retries": int(entry.get("retries", DEFAULT_RETRIES)),
        "health": health and {"interval": DEFAULT_INTERVAL, **health, **_interval(health)},
    }


def _interval(health: dict[str, Any]) -> dict[str, float]:
    return {"interval": measure(health["interval"])} if "interval" in health else {}


def diagnostics(entry: dict[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    """The errors of a service that the schema cannot find: path in the entry and message."""
    if entry["kind"] != "http":
        for key in KEYS:
            if key in entry:
                yield (key,), "is only for services of kind: http; remove it"
        return
    if entry.get("settings"):
        yield ("settings",), "are only for services of kind: python, which read them; remove them"
    yield from _times(service_record(entry))
    for index, url in enumerate(entry["endpoints"]):
        try:
            endpoints.parse(url)
        except endpoints.EndpointError as error:
            yield ("endpoints", index), str(error)


def _times(record: dict[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    message = "is too large; must be below 2^53 seconds"
    if record["timeout"] >= MAX_NUMBER:
        yield ("timeout",), message
    if record["health"] and record["health"]["interval"] >= MAX_NUMBER:
        yield ("health", "interval"), message
