"""Parsing times in Mountain Time: the params whose names end in `_mt`."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_ZONE = ZoneInfo("America/Denver")
_FILEMAKER = "%m/%d/%Y %H:%M:%S"
_ISO = re.compile(
    r"[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|W[0-9]{2}-?[0-9])(?:[Tt ][0-9:.,+Zz-]+)?", re.ASCII
)


class MountainTimeError(ValueError):
    """A text that is not a valid time; the message is written for the caller."""


def parse(text: str) -> datetime:
    """A time in UTC, from ISO 8601 or FileMaker's `MM/DD/YYYY HH:MM:SS`.

    A text without a zone is Mountain Time. Where the clock shows a time twice, the first is meant.
    Raises MountainTimeError, also for a time that the clock skips.
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
    for reader in (_iso, _filemaker):
        try:
            return reader(text)
        except ValueError:
            continue
    message = "is not a valid date and time; use ISO 8601 or MM/DD/YYYY HH:MM:SS"
    raise MountainTimeError(message)


def _iso(text: str) -> datetime:
    # fromisoformat accepts any character between date and time, and an offset without a time.
    if not _ISO.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def _filemaker(text: str) -> datetime:
    return datetime.strptime(text, _FILEMAKER)  # noqa: DTZ007 - the zone is added by parse
