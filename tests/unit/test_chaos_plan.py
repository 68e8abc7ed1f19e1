"""The plan of `make chaos` depends only on its seed, and has every fault before any is repeated."""

import itertools

from chaos import plan


def first(seed: int, lane: str, count: int, pace: float = 1) -> list[plan.Step]:
    return list(itertools.islice(plan.steps(seed, lane, pace), count))


def test_plan_is_the_same_for_the_same_seed_and_different_for_another() -> None:
    for lane in plan.LANES:
        assert first(1, lane, 20) == first(1, lane, 20)
        assert first(1, lane, 20) != first(2, lane, 20)


def test_plan_has_every_fault_of_a_lane_before_any_comes_again() -> None:
    for name, lane in plan.LANES.items():
        faults = sorted(fault for fault, _ in lane.faults)
        steps = first(3, name, 2 * len(faults))
        for bag in (steps[: len(faults)], steps[len(faults) :]):
            assert sorted(step.fault for step in bag) == faults


def test_plan_with_another_pace_has_other_pauses_and_the_same_faults() -> None:
    for lane in plan.LANES:
        usual, fast = first(4, lane, 10), first(4, lane, 10, pace=0.5)
        assert [step._replace(pause=step.pause / 2) for step in usual] == fast
