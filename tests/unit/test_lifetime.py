"""How long a session lasts: 7 days, 72 hours without use, and for ever with `remember_me`."""

from datetime import datetime, timedelta

import pytest
from support.builders import NOON, session

from gateway.identity import lifetime

AGE = timedelta(days=7)
IDLE = timedelta(hours=72)
MOMENT = timedelta(microseconds=1)
USED_LATE = AGE - timedelta(hours=1)


@pytest.mark.parametrize(
    ("used_after", "checked_after", "over"),
    [
        pytest.param(timedelta(0), timedelta(0), False, id="new"),
        pytest.param(timedelta(0), IDLE - MOMENT, False, id="unused-just-under-72-hours"),
        pytest.param(timedelta(0), IDLE, False, id="unused-72-hours"),
        pytest.param(timedelta(0), IDLE + MOMENT, True, id="unused-just-over-72-hours"),
        pytest.param(IDLE, 2 * IDLE, False, id="used-again-72-hours-ago"),
        pytest.param(IDLE, 2 * IDLE + MOMENT, True, id="used-again-and-unused-since"),
        pytest.param(USED_LATE, AGE - MOMENT, False, id="just-under-7-days-old"),
        pytest.param(USED_LATE, AGE, False, id="7-days-old"),
        pytest.param(USED_LATE, AGE + MOMENT, True, id="just-over-7-days-old"),
        pytest.param(AGE, AGE + MOMENT, True, id="used-at-the-end"),
        pytest.param(timedelta(0), timedelta(days=365), True, id="long-ago"),
    ],
)
def test_lifetime_ends_by_age_or_by_idleness(
    used_after: timedelta, checked_after: timedelta, *, over: bool
) -> None:
    used = session(last_used_at=NOON + used_after)
    assert lifetime.is_over(used, NOON + checked_after) is over
    remembered = used._replace(remember_me=True)
    assert not lifetime.is_over(remembered, NOON + checked_after)


@pytest.mark.parametrize(
    ("used_after", "end"),
    [
        (timedelta(0), NOON + IDLE),
        (timedelta(hours=95), NOON + timedelta(hours=167)),
        (timedelta(hours=96), NOON + AGE),
        (timedelta(hours=97), NOON + AGE),
    ],
    ids=["idle-first", "idle-just-first", "both", "age-first"],
)
def test_lifetime_ends_at_the_earlier_end(used_after: timedelta, end: datetime) -> None:
    assert lifetime.ends_at(session(last_used_at=NOON + used_after)) == end


@pytest.mark.parametrize(
    ("since", "end"),
    [(IDLE - MOMENT, None), (IDLE, None), (IDLE + MOMENT, NOON + IDLE)],
    ids=["before-the-end", "at-the-end", "after-the-end"],
)
def test_lifetime_that_had_ended_is_not_revived_by_remember_me(
    since: timedelta, end: datetime | None
) -> None:
    remembered = session(remember_me=True, remember_since=NOON + since)
    assert lifetime.ends_at(remembered) == end
    assert lifetime.is_over(remembered, NOON + AGE) is (end is not None)


def test_lifetime_of_a_remembered_session_has_no_end() -> None:
    assert lifetime.ends_at(session(remember_me=True)) is None
