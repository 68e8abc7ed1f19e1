"""Balance, ejection and the budget of retries, without a network."""

from collections import Counter

import pytest

from gateway.registry.endpoints import parse
from gateway.upstreams.http.balance import pick
from gateway.upstreams.http.budget import RESERVE, RetryBudget
from gateway.upstreams.http.eject import FAULTS, MAX_PAUSE, Ejector
from gateway.upstreams.http.target import Key, Target, Totals


def targets(count: int) -> list[Target]:
    urls = [f"http://10.0.0.{number}:9000" for number in range(1, count + 1)]
    return [Target(Key(url, parse(url).host), parse(url), Totals()) for url in urls]


def ejected(ejector: Ejector, now: float = 0.0) -> Ejector:
    for _ in range(FAULTS):
        ejector.fail(now)
    assert ejector.is_ejected
    return ejector


def test_balance_takes_the_less_busy_of_two() -> None:
    busy, idle = targets(2)
    busy.in_flight = 3
    assert {pick([busy, idle], [], 0.0, may_probe=True) for _ in range(50)} == {(idle, False)}


def test_balance_never_takes_the_busiest_of_three_and_spreads_equal_ones() -> None:
    three = targets(3)
    three[0].in_flight = 9
    chosen = Counter(
        picked[0] for _ in range(600) if (picked := pick(three, [], 0.0, may_probe=True))
    )
    assert chosen.keys() == {three[1], three[2]}
    assert min(chosen.values()) > 200


def test_balance_does_not_take_a_target_again() -> None:
    one, two = targets(2)
    assert pick([one, two], [one], 0.0, may_probe=True) == (two, False)
    assert pick([one, two], [one, two], 0.0, may_probe=True) is None
    assert pick([], [], 0.0, may_probe=True) is None


def test_balance_gives_a_due_ejected_target_one_probe() -> None:
    one, two = targets(2)
    ejected(one.ejector)
    assert pick([one, two], [], 0.9, may_probe=True) == (two, False)
    assert pick([one, two], [], 1.0, may_probe=True) == (one, True)
    assert pick([one, two], [], 1.0, may_probe=False) == (two, False)
    one.ejector.is_probed = True
    assert pick([one, two], [], 1.0, may_probe=True) == (two, False)


def test_balance_probes_each_second_where_all_are_ejected() -> None:
    one, two = targets(2)
    for ejector in (ejected(one.ejector), ejected(two.ejector)):
        for now in (1.0, 3.0, 7.0):
            ejector.fail_probe(now)
    assert pick([one, two], [], 7.9, may_probe=True) is None
    assert pick([one, two], [], 8.0, may_probe=True) == (one, True)
    two.ejector.succeed()
    assert pick([one, two], [], 8.0, may_probe=True) == (two, False)


def test_ejector_ejects_after_five_faults_in_a_row() -> None:
    ejector = Ejector()
    for _ in range(2):
        assert [ejector.fail(0.0) for _ in range(FAULTS - 1)] == [False] * (FAULTS - 1)
        assert not ejector.succeed()
    assert [ejector.fail(0.0) for _ in range(FAULTS)][-1]
    assert ejector.ejections == 1
    assert not ejector.fail(0.0), "a call that was in flight ejects nothing again"


def test_ejector_doubles_its_pause_up_to_a_minute() -> None:
    ejector, now, pauses = ejected(Ejector()), 0.0, []
    for _ in range(9):
        pause = next(s for s in range(100) if ejector.is_due(now + s, is_last=False))
        pauses.append(pause)
        now += pause
        ejector.fail_probe(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, MAX_PAUSE]
    assert ejector.ejections == 1


def test_ejector_returns_after_a_success_and_begins_again_with_a_second() -> None:
    ejector = ejected(Ejector())
    ejector.fail_probe(1.0)
    assert ejector.succeed()
    assert not ejector.is_ejected
    ejected(ejector, now=5.0)
    assert not ejector.is_due(5.9, is_last=False)
    assert ejector.is_due(6.0, is_last=False)


@pytest.mark.parametrize(("calls", "retries"), [(0, 0), (4, 0), (5, 1), (1000, 100), (250, 50)])
def test_budget_is_a_fifth_of_the_calls_beyond_its_reserve(calls: int, retries: int) -> None:
    budget = RetryBudget()
    assert [budget.withdraw() for _ in range(RESERVE + 1)] == [True] * RESERVE + [False]
    for _ in range(calls):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(1000)) == retries


def test_target_has_the_address_in_its_url_and_the_name_in_host_and_certificate() -> None:
    endpoint = parse("https://tours.example:8443/api")
    target = Target(Key("https://tours.example:8443/api", "10.0.0.5"), endpoint, Totals())
    assert str(target.at("/tours/book")) == "https://10.0.0.5:8443/api/tours/book"
    assert (target.host, target.server_name) == ("tours.example:8443", "tours.example")
