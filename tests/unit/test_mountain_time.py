"""Parsing Mountain Time: with and without a zone, skipped and repeated hours, out of range."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples

from services.mountain_time import MountainTimeError, parse

DENVER = ZoneInfo("America/Denver")
FILEMAKER = "%m/%d/%Y %H:%M:%S"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-01-15T08:30:00", "2026-01-15T15:30:00", id="winter"),
        pytest.param("2026-07-15T08:30:00", "2026-07-15T14:30:00", id="summer"),
        pytest.param("2026-07-15 08:30:00", "2026-07-15T14:30:00", id="space-for-t"),
        pytest.param("2026-07-15T08:30", "2026-07-15T14:30:00", id="no-seconds"),
        pytest.param("2026-07-15T08:30:00.250", "2026-07-15T14:30:00.250000", id="milliseconds"),
        pytest.param("2026-07-15", "2026-07-15T06:00:00", id="date-alone"),
        pytest.param("2026-07-15T20:30:00", "2026-07-16T02:30:00", id="next-day-in-utc"),
        pytest.param("07/15/2026 08:30:00", "2026-07-15T14:30:00", id="filemaker-summer"),
        pytest.param("01/15/2026 08:30:00", "2026-01-15T15:30:00", id="filemaker-winter"),
        pytest.param("02/01/2026 00:00:00", "2026-02-01T07:00:00", id="filemaker-month-first"),
        pytest.param("2026-07-15T08:30:00Z", "2026-07-15T08:30:00", id="zulu"),
        pytest.param("2026-07-15T08:30:00+00:00", "2026-07-15T08:30:00", id="utc"),
        pytest.param("2026-07-15T08:30:00-06:00", "2026-07-15T14:30:00", id="offset-west"),
        pytest.param("2026-07-15T08:30:00+0530", "2026-07-15T03:00:00", id="offset-east"),
        pytest.param("2026-03-08T02:30:00-07:00", "2026-03-08T09:30:00", id="zone-in-the-gap"),
        pytest.param("2026-11-01T01:30:00-07:00", "2026-11-01T08:30:00", id="zone-in-the-fold"),
        pytest.param("2024-02-29T00:00:00", "2024-02-29T07:00:00", id="leap-day"),
        pytest.param("9999-12-31T16:59:59", "9999-12-31T23:59:59", id="last-moment"),
        pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00", id="first-moment"),
    ],
)
def test_mountain_time_is_converted_to_utc(text: str, moment: str) -> None:
    parsed = parse(text)
    assert parsed == datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-08T02:00:00",
        "2026-03-08T02:30:00",
        "2026-03-08T02:59:59.999999",
        "03/08/2026 02:30:00",
        "2007-03-11T02:30:00",
        "1987-04-05T02:30:00",
    ],
)
def test_mountain_time_in_a_skipped_hour_is_refused(text: str) -> None:
    with pytest.raises(MountainTimeError, match="skips"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-08T01:59:59", "2026-03-08T08:59:59"),
        ("2026-03-08T03:00:00", "2026-03-08T09:00:00"),
        ("2026-11-01T00:59:59", "2026-11-01T06:59:59"),
        ("2026-11-01T01:00:00", "2026-11-01T07:00:00"),
        ("2026-11-01T01:30:00", "2026-11-01T07:30:00"),
        ("11/01/2026 01:59:59", "2026-11-01T07:59:59"),
        ("2026-11-01T02:00:00", "2026-11-01T09:00:00"),
    ],
)
def test_mountain_time_around_a_clock_change_is_the_first_of_two(text: str, moment: str) -> None:
    assert parse(text) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31T17:00:00",
        "12/31/9999 23:59:59",
    ],
)
def test_mountain_time_outside_the_years_1_to_9999_is_refused(text: str) -> None:
    with pytest.raises(MountainTimeError, match="must be in the years 1 to 9999"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "now",
        "tomorrow",
        "1767225600",
        "8:30",
        "08:30:00",
        "2026-13-01T00:00:00",
        "2026-02-30T00:00:00",
        "2025-02-29T00:00:00",
        "2026-01-01T24:30:00",
        "2026-01-01T00:60:00",
        "2026-01-01T00:00:00+25:00",
        "2026-01-01T00:00:00 MST",
        "2026-07-15x08:30:00",
        "2026-07-15-06:00",
        "2026-07-15-0600",
        "2026-07-15-06",
        "20260715-06",
        "2026-07-15W06",
        "13/01/2026 00:00:00",
        "02/30/2026 00:00:00",
        "01/15/26 08:30:00",
        "01/15/2026",
        "01/15/2026 08:30",
        "01/15/2026 8:30:00 PM",
        "01/15/2026 08:30:00Z",
        "15.01.2026 08:30:00",
        "0000-01-01T00:00:00",
        "10000-01-01T00:00:00",
        "2026-01-01T00:00:00" * 1000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_mountain_time_of_an_invalid_text_is_refused(text: str) -> None:
    with pytest.raises(MountainTimeError, match="ISO 8601 or MM/DD/YYYY HH:MM:SS"):
        parse(text)


@examples
@given(st.text("0123456789-/:+TZ .hunter", max_size=30))
def test_mountain_time_error_never_quotes_the_text(text: str) -> None:
    try:
        parsed = parse(text)
    except MountainTimeError as error:
        assert len(text) < 8 or text not in str(error)
    else:
        assert parsed.utcoffset() == timedelta(0)


@examples
@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2037, 12, 31)).map(  # noqa: DTZ001 - as sent
        lambda time: time.replace(microsecond=0)
    )
)
def test_mountain_time_is_the_first_moment_at_which_denver_s_clock_shows_it(time: datetime) -> None:
    def clock_at(moment: datetime) -> datetime:
        return moment.astimezone(DENVER).replace(tzinfo=None)

    try:
        moment = parse(time.isoformat())
    except MountainTimeError:
        late = time.replace(tzinfo=UTC) + timedelta(hours=6)
        assert time not in (clock_at(late), clock_at(late + timedelta(hours=1)))
        return
    assert clock_at(moment) == time
    assert clock_at(moment - timedelta(hours=1)) != time
    assert parse(time.strftime(FILEMAKER)) == moment
