"""A route as `apply` stores it: every default written out, times in seconds, sizes in bytes."""

from typing import Any

from gateway.registry.records import DEFAULT_MAX_BODY, DEFAULT_MAX_VALUES, DEFAULT_TIMEOUT

MAX_NUMBER = 2.0**53
"""Seconds or bytes; JSON parsers disagree about larger whole numbers."""

_UNITS = {"ms": 0.001, "s": 1.0, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
PERIODS = {1: "second", 60: "minute", 3600: "hour"}
"""The periods of a rate limit by their length in seconds."""

_SECONDS = {name: seconds for seconds, name in PERIODS.items()}


def route_record(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A route's record with every default written out, units as seconds and bytes."""
    handler = entry.get("handler", name)
    record = {
        "handler": handler,
        "method": entry["method"],
        "path": entry.get("path", f"/api/v1/{name.replace('.', '/')}"),
        "deployed": entry["deployed"],
        "title": entry["title"],
        "description": entry.get("description", ""),
        "auth": [] if entry["auth"] == "public" else sorted(entry["auth"]),
        "roles": entry.get("roles"),
        "client_required": entry.get("client_required", True),
        "sensitive_params": entry.get("sensitive_params", False),
        "envelope": entry.get("envelope", "plano"),
        "idempotency": entry.get("idempotency", "off"),
        "rate_limit": _rate(entry["rate_limit"]) if "rate_limit" in entry else None,
        # JSON Schema also accepts 404.0 as an integer.
        "statuses": {
            slug: {**status, "http": int(status["http"])}
            for slug, status in entry.get("statuses", {}).items()
        },
        "timeout": measure(entry["timeout"]) if "timeout" in entry else DEFAULT_TIMEOUT,
        "max_body": int(measure(entry["max_body"])) if "max_body" in entry else DEFAULT_MAX_BODY,
        "max_values": int(entry.get("max_values", DEFAULT_MAX_VALUES)),
    }
    if "reads" in entry:
        record["reads"] = {**entry["reads"], "stale": measure(entry["reads"]["stale"])}
    return record


def _rate(text: str) -> list[int]:
    """`50/minute` as calls and seconds."""
    calls, _, unit = text.partition("/")
    return [int(calls), _SECONDS[unit]]


def measure(text: str) -> float:
    """`10s` in seconds, `1MiB` in bytes; the schema has checked the format."""
    number = text.rstrip("BKMims")
    return min(float(number) * _UNITS[text[len(number) :]], MAX_NUMBER)
