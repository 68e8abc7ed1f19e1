"""Parsing times in Mountain Time: the params whose names end in `_mt`."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

FORMATS = (
    "ISO 8601 (2026-11-28T20:00:00), MM/DD/YYYY, MM/DD/YYYY HH:MM or MM/DD/YYYY HH:MM:SS (both also"
    " with AM or PM), or YYYY-MM-DD HH:MM:SS followed by UTC or an offset (-0700)"
)
"""The formats that a caller may use, in words."""

HALF_DAY = 12
"""Hours of a 12-hour clock."""

_ZONE = ZoneInfo("America/Denver")
_ISO = re.compile(
    r"[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|W[0-9]{2}-?[0-9])(?:[Tt ][0-9:.,+Zz-]+)?", re.ASCII
)
_RUBY = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) (?:UTC|([+-][0-9]{4}))", re.ASCII
)
_FILEMAKER = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})"
    r"(?: ([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2}))?(?: ?([AaPp])[Mm])?)?",
    re.ASCII,
)


class MountainTimeError(ValueError):
    """A text that is not a valid time; the message is written for the caller."""


def parse(text: str) -> datetime:
    """A time in UTC, from one of the `FORMATS`.

    A text without a zone is Mountain Time, one without a time is midnight. A time that occurs twice
    is the first of the two. Raises MountainTimeError, also for a time that the clock skips.
    """
    time = _read(text)
    try:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        local = time.replace(tzinfo=_ZONE, fold=0)
        moment = local.astimezone(UTC)
        skipped = moment.astimezone(_ZONE).replace(tzinfo=None) != time
    except OverflowError:
        message = "must be in the years 1 to 9999"
        raise MountainTimeError(message) from None
    if skipped:
        message = "does not exist in Mountain Time: the clock skips it, as daylight saving begins"
        raise MountainTimeError(message)
    return moment


def _read(text: str) -> datetime:
    for reader in (_iso, _filemaker, _ruby):
        try:
            return reader(text)
        except ValueError:
            continue
    message = f"is not a valid date and time; use {FORMATS}"
    raise MountainTimeError(message)


def _iso(text: str) -> datetime:
    # fromisoformat accepts any character between date and time, and an offset without a time.
    if not _ISO.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def _filemaker(text: str) -> datetime:
    """FileMaker's month, day, year; then hours and minutes, perhaps seconds, perhaps AM or PM."""
    match = _FILEMAKER.fullmatch(text)
    if not match:
        raise ValueError
    *numbers, half = match.groups()
    month, day, year, hour, minute, second = (int(number or 0) for number in numbers)
    if half:
        hour = _hour_of_24(hour, is_afternoon=half in "Pp")
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - parse adds the zone


def _hour_of_24(hour: int, *, is_afternoon: bool) -> int:
    """The hour on a 24-hour clock: 12 AM is midnight, 12 PM is noon."""
    if not 1 <= hour <= HALF_DAY:
        raise ValueError
    return hour % HALF_DAY + (HALF_DAY if is_afternoon else 0)


def _ruby(text: str) -> datetime:
    """Ruby's `Time#to_s`, whose zone follows a space."""
    match = _RUBY.fullmatch(text)
    if not match:
        raise ValueError
    time, offset = match.groups()
    return datetime.fromisoformat(time + (offset or "+0000"))
