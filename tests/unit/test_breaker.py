"""The circuit breaker of look-ups: refusals after work was late, one attempt, and back."""

from gateway.identity.breaker import Breaker


class Clock:
    """Monotonic seconds that a test moves."""

    seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


def breaker(clock: Clock) -> Breaker:
    return Breaker(pause=1.0, attempt=3.0, clock=clock)


def test_breaker_admits_everything_until_work_was_late() -> None:
    closed = breaker(Clock())
    assert not closed.is_open
    assert all(closed.admits() for _ in range(100))


def test_breaker_refuses_for_the_pause_and_then_admits_one_attempt() -> None:
    clock = Clock()
    opened = breaker(clock)
    opened.open()
    clock.seconds += 0.9
    assert not opened.admits()
    clock.seconds += 0.1
    assert [opened.admits() for _ in range(5)] == [True, False, False, False, False]
    assert opened.is_open
    clock.seconds += 2.9
    assert not opened.admits()
    clock.seconds += 0.1
    assert [opened.admits() for _ in range(2)] == [True, False]


def test_breaker_after_a_failed_attempt_refuses_for_another_pause() -> None:
    clock = Clock()
    opened = breaker(clock)
    opened.open()
    clock.seconds += 1.0
    assert opened.admits()
    opened.open()
    assert not opened.admits()
    clock.seconds += 1.0
    assert opened.admits()


def test_breaker_after_a_successful_attempt_admits_everything() -> None:
    clock = Clock()
    opened = breaker(clock)
    opened.open()
    clock.seconds += 1.0
    assert opened.admits()
    opened.close()
    assert not opened.is_open
    assert all(opened.admits() for _ in range(100))
