"""What one request costs, in calls: a number that no other load on the machine changes.

A ceiling that is met with a change of no ill intent may be raised, knowingly;
`docs/explanation/performance.md` says what each part costs in time.
"""

import sys
from collections import Counter
from typing import Any

import harness
from support.harness import ROOT

CEILING = 155
"""Calls of a request that does nothing, from its bytes to its answer's, made by our own code."""

WARM = 20
OURS = str(ROOT / "gateway")


async def _calls(requests: int) -> Counter[str]:
    """The calls of functions in `gateway`, and those that they make of the libraries' C."""
    worker = harness.worker()
    edge, wire = harness.connection(worker.app)
    asked = harness.request()
    for _ in range(WARM):
        assert (await harness.answer(edge, wire, asked)).startswith(b"HTTP/1.1 200 ")
    found: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in {"call", "c_call"} and frame.f_code.co_filename.startswith(OURS):
            name = argument.__qualname__ if event == "c_call" else frame.f_code.co_qualname
            found[name] += 1

    sys.setprofile(count)
    try:
        for _ in range(requests):
            await harness.answer(edge, wire, asked)
    finally:
        sys.setprofile(None)
    return found


async def test_a_request_makes_no_more_calls_than_it_did() -> None:
    calls = (await _calls(10)).total() / 10
    assert calls <= CEILING, "see the docstring above"


async def test_a_request_compiles_copies_and_times_nothing() -> None:
    never = {"compile_schema", "shape_of", "route_from", "timeout_at", "Loop.call_later"}
    assert not never & set(await _calls(10))


async def test_an_answer_is_written_in_one_go() -> None:
    edge, wire = harness.connection(harness.worker().app)
    await harness.answer(edge, wire, harness.request())
    assert wire.writes == 1
