"""The cost of a request in function calls, which does not depend on the load of the machine.

A change with a good reason may raise the ceiling; `docs/explanation/performance.md` says what each
part costs in time.
"""

import asyncio
import sys
from collections import Counter
from typing import Any

import harness
from support.harness import ROOT

CEILING = 146
"""Calls by the gateway's own code for a request that does nothing, from bytes to bytes."""

WARM = 20
OURS = str(ROOT / "gateway")


async def _calls(requests: int) -> Counter[str]:
    """The calls of functions in `gateway`, and their calls of C functions."""
    worker = harness.worker()
    edge, wire = harness.connection(worker.app)
    request = harness.request()
    for _ in range(WARM):
        assert (await harness.answer(edge, wire, request)).startswith(b"HTTP/1.1 200 ")
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in {"call", "c_call"} and frame.f_code.co_filename.startswith(OURS):
            name = argument.__qualname__ if event == "c_call" else frame.f_code.co_qualname
            calls[name] += 1

    sys.setprofile(count)
    try:
        for _ in range(requests):
            await harness.answer(edge, wire, request)
    finally:
        sys.setprofile(None)
    return calls


async def test_cost_of_a_request_in_calls_stays_below_the_ceiling() -> None:
    calls = (await _calls(10)).total() / 10
    assert calls <= CEILING, "see the docstring above"


async def test_cost_of_a_request_includes_no_compilation_and_no_timer() -> None:
    never = {"compile_schema", "shape_of", "route_from", "timeout_at", "Loop.call_later"}
    assert not never & set(await _calls(10))


async def test_cost_of_an_answer_is_one_write() -> None:
    edge, wire = harness.connection(harness.worker().app)
    await harness.answer(edge, wire, harness.request())
    assert wire.writes == 1


async def test_cost_of_a_request_that_waits_for_nothing_needs_no_turn_of_the_event_loop() -> None:
    edge, wire = harness.connection(harness.worker().app)
    edge.data_received(harness.request())
    if sys.version_info < (3, 12):
        await asyncio.sleep(0)
    assert wire.written.startswith(b"HTTP/1.1 200 ")
