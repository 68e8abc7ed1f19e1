"""Values of a stored record as a manifest writes them: `1MiB`, `50/minute`, `10s`, `public`."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.manifest.records.route_record import PERIODS

_SIZES = ((1024 * 1024, "MiB"), (1024, "KiB"), (1, "B"))


def as_written(field: str, value: Any) -> Any:  # noqa: ANN401 - JSON is any
    """The value of a record's field as the file has it."""
    write = _FIELDS.get(field)
    return value if value is None or write is None else write(value)


def size(count: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    factor, unit = next(entry for entry in _SIZES if count % entry[0] == 0)
    return f"{count // factor}{unit}"


def duration(seconds: float) -> str:
    """Seconds, or milliseconds if the seconds are not a whole number."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def rate(limit: list[int]) -> str:
    """Calls and seconds as `50/minute`."""
    calls, seconds = limit
    return f"{calls}/{PERIODS[seconds]}"


def _reads(reads: Mapping[str, Any]) -> dict[str, Any]:
    return {**reads, "stale": duration(reads["stale"])}


def _auth(kinds: list[str]) -> str | list[str]:
    return kinds or "public"


_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "max_body": size,
    "timeout": duration,
    "health.interval": duration,
    "rate_limit": rate,
    "reads": _reads,
    "reads.stale": duration,
    "auth": _auth,
}
