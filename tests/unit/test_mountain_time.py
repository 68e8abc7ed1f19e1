"""Parsing Mountain Time: with and without a zone, skipped and repeated hours, out of range."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import examples

from services.mountain_time import FORMATS, MountainTimeError, parse

DENVER = ZoneInfo("America/Denver")
FILEMAKER = "%m/%d/%Y %H:%M:%S"
LOCAL_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2037, 12, 31)).map(  # noqa: DTZ001 - as sent
    lambda time: time.replace(microsecond=0)
)


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
        pytest.param("11/28/2026 8:00:00 PM", "2026-11-29T03:00:00", id="filemaker-pm"),
        pytest.param("11/28/2026 8:00:00 AM", "2026-11-28T15:00:00", id="filemaker-am"),
        pytest.param("11/28/2026 8:00 pm", "2026-11-29T03:00:00", id="filemaker-no-seconds-pm"),
        pytest.param("11/28/2026 12:30:00AM", "2026-11-28T07:30:00", id="filemaker-midnight"),
        pytest.param("11/28/2026 12:30:00 PM", "2026-11-28T19:30:00", id="filemaker-noon"),
        pytest.param("11/28/2026 08:00", "2026-11-28T15:00:00", id="filemaker-no-seconds"),
        pytest.param("11/28/2026", "2026-11-28T07:00:00", id="filemaker-date-alone"),
        pytest.param("7/5/2026 8:3:1", "2026-07-05T14:03:01", id="filemaker-one-digit"),
        pytest.param("2026-11-28 08:00:00 -0700", "2026-11-28T15:00:00", id="ruby"),
        pytest.param("2026-11-28 08:00:00 +0530", "2026-11-28T02:30:00", id="ruby-east"),
        pytest.param("2026-11-28 08:00:00 UTC", "2026-11-28T08:00:00", id="ruby-utc"),
        pytest.param("2026-03-08 02:30:00 UTC", "2026-03-08T02:30:00", id="ruby-in-the-gap"),
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
        "03/08/2026 2:30 AM",
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
        ("11/01/2026 1:30 AM", "2026-11-01T07:30:00"),
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
        "1/15/26",
        "01/15/2026 8",
        "01/15/2026 8 PM",
        "01/15/2026 PM",
        "01/15/2026 0:30:00 AM",
        "01/15/2026 13:30:00 PM",
        "01/15/2026 8:30:00 XM",
        "01/15/2026 24:00:00",
        "01/15/2026 08:60",
        "01/15/2026  08:30",
        "01/15/0000",
        "2026-11-28 08:00:00 MST",
        "2026-11-28 08:00:00 -07:00x",
        "2026-11-28 08:00:00 -2500",
        "2026-11-28 25:00:00 UTC",
        "2026-11-28 UTC",
        "01/15/2026 08:30:00Z",
        "15.01.2026 08:30:00",
        "0000-01-01T00:00:00",
        "10000-01-01T00:00:00",
        "2026-01-01T00:00:00" * 1000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_mountain_time_of_an_invalid_text_is_refused(text: str) -> None:
    with pytest.raises(MountainTimeError, match=re.escape(FORMATS)):
        parse(text)


@examples
@given(st.text("0123456789-/:+TZ .APMUCapmhunter", max_size=30))
def test_mountain_time_error_never_quotes_the_text(text: str) -> None:
    try:
        parsed = parse(text)
    except MountainTimeError as error:
        assert len(text) < 8 or text not in str(error)
    else:
        assert parsed.utcoffset() == timedelta(0)


@examples
@given(LOCAL_TIMES)
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


def parse_or_skipped(text: str) -> datetime | None:
    """The time, or None if the clock skips it."""
    try:
        return parse(text)
    except MountainTimeError as error:
        assert "skips" in str(error)
        return None


@examples
@given(LOCAL_TIMES)
def test_mountain_time_of_a_12_hour_clock_is_that_of_a_24_hour_clock(time: datetime) -> None:
    expected = parse_or_skipped(time.isoformat())
    for text in ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S%p", FILEMAKER):
        assert parse_or_skipped(time.strftime(text)) == expected
    unpadded = f"{time:%m/%d/%Y} {int(time.strftime('%I'))}:{time:%M:%S %p}".lower()
    assert parse_or_skipped(unpadded) == expected


@examples
@given(LOCAL_TIMES)
def test_mountain_time_without_seconds_or_without_a_time_is_at_zero(time: datetime) -> None:
    minute = time.replace(second=0)
    for text in ("%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p"):
        assert parse_or_skipped(time.strftime(text)) == parse_or_skipped(minute.isoformat())
    midnight = time.replace(hour=0, minute=0, second=0)
    for text in ("%m/%d/%Y", "%Y-%m-%d"):
        assert parse_or_skipped(time.strftime(text)) == parse_or_skipped(midnight.isoformat())


@examples
@given(LOCAL_TIMES, st.timezones().filter(lambda zone: "/" in str(zone)) | st.just(ZoneInfo("UTC")))
def test_mountain_time_from_ruby_is_the_moment_that_ruby_means(
    time: datetime, zone: ZoneInfo
) -> None:
    moment = time.replace(tzinfo=zone)
    offset = moment.utcoffset() or timedelta(0)
    if offset.seconds % 60 == 0:
        assert parse(moment.strftime("%Y-%m-%d %H:%M:%S %z")) == moment.astimezone(UTC)
    in_utc = moment.astimezone(UTC)
    assert parse(in_utc.strftime("%Y-%m-%d %H:%M:%S UTC")) == in_utc
