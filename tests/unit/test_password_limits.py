"""Guesses of passwords that are being checked, and those that were wrong."""

import pytest

from gateway.database.pool import Pool
from gateway.identity.counts import Counts
from gateway.identity.limits import CHECK_SECONDS, Limits
from gateway.values import Rejection

USER, ADDRESS = 7, "192.0.2.1"


@pytest.fixture
def limits() -> Limits:
    return Limits(Counts(Pool("", 1)), account_guesses=2, address_guesses=100, unknown_tokens=100)


def wait(limits: Limits) -> int:
    """The seconds that one more guess has to wait; 0 if it may be checked."""
    try:
        with limits.guessing_own(ADDRESS, USER):
            return 0
    except Rejection as rejection:
        return rejection.retry_after or 0


def guess_wrong(limits: Limits) -> None:
    with pytest.raises(Rejection, match="invalid-password"), limits.guessing_own(ADDRESS, USER):
        raise Rejection("invalid-password")


def test_right_passwords_at_once_wait_only_for_those_that_are_being_checked(
    limits: Limits,
) -> None:
    with limits.guessing_own(ADDRESS, USER), limits.guessing_own(ADDRESS, USER):
        assert wait(limits) == CHECK_SECONDS
    assert wait(limits) == 0


def test_wrong_passwords_wait_until_their_window_is_over(limits: Limits) -> None:
    guess_wrong(limits)
    guess_wrong(limits)
    assert wait(limits) > CHECK_SECONDS


def test_guess_after_many_is_not_held_for_one_that_is_being_checked(limits: Limits) -> None:
    for _ in range(20):
        assert wait(limits) == 0
