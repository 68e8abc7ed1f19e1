"""What a route's pages say beside its rules: description, examples, deprecation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Documentation:
    """The documentation of a route.

    `examples` is the JSON text of an object with `params` and `returns`, or empty. `deprecated` and
    `sunset` are days as `YYYY-MM-DD`, or empty; they begin at midnight UTC. `headers` are those
    that announce them on each answer.
    """

    description: str = ""
    documented: bool = True
    deprecated: str = ""
    sunset: str = ""
    examples: str = ""
    headers: Headers = ()


NO_DOCUMENTATION = Documentation()


def documentation_from(record: Mapping[str, Any]) -> Documentation:
    """The documentation in a stored record of a route."""
    return _interned(
        record.get("description", ""),
        *(record.get(field, default) for field, default in _DEFAULTS),
    )


def documentation_fields(documentation: Documentation) -> dict[str, Any]:
    """The part of a stored record: the inverse of `documentation_from`."""
    fields = {name: getattr(documentation, name) for name, _ in _DEFAULTS}
    changed = {name: fields[name] for name, default in _DEFAULTS if fields[name] != default}
    return {"description": documentation.description, **changed}


@lru_cache(maxsize=4096)
def _interned(
    description: str,
    documented: bool,  # noqa: FBT001 - a key
    deprecated: str,
    sunset: str,
    examples: str,
) -> Documentation:
    """Equal documentation is one object: most routes of a large registry have little."""
    return Documentation(
        description=description,
        documented=documented,
        deprecated=deprecated,
        sunset=sunset,
        examples=examples,
        headers=_headers(deprecated, sunset),
    )


def midnight(day: str) -> datetime:
    """The beginning of a day `YYYY-MM-DD` in UTC. Raises ValueError if there is no such day."""
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)


def _headers(deprecated: str, sunset: str) -> Headers:
    """`Deprecation` (RFC 9745) is a date of structured fields, `Sunset` (RFC 8594) one of HTTP."""
    headers = []
    if deprecated:
        headers.append((b"deprecation", b"@%d" % midnight(deprecated).timestamp()))
    if sunset:
        headers.append((b"sunset", format_datetime(midnight(sunset), usegmt=True).encode()))
    return tuple(headers)


_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("documented", True),
    ("deprecated", ""),
    ("sunset", ""),
    ("examples", ""),
)
