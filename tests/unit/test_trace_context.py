"""W3C Trace Context, level 1: which headers are read, and what is passed on."""

from contextvars import copy_context

import pytest

from gateway.edge import addresses
from gateway.runtime import trace_context
from gateway.values import TraceContext

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PLACE = TraceContext(TRACE, SPAN, sampled=True, parent_id=SPAN)


def read(value: str, state: str | None = None) -> TraceContext | None:
    headers = {b"traceparent": value.encode("latin-1")}
    if state is not None:
        headers[b"tracestate"] = state.encode()
    return trace_context.read(headers)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        # Flags that version 00 does not know are ignored, and not passed on.
        (f"00-{TRACE}-{SPAN}-03", "01"),
        (f"00-{TRACE}-{SPAN}-fe", "00"),
        # A later version is read as far as version 00 goes.
        (f"cc-{TRACE}-{SPAN}-01", "01"),
        (f"01-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_traceparent_that_is_valid_is_passed_on_as_version_00(value: str, flags: str) -> None:
    context = read(value)
    assert context == PLACE._replace(sampled=flags == "01")
    assert context.traceparent == f"00-{TRACE}-{SPAN}-{flags}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"0-{TRACE}-{SPAN}-01",
        f".0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}-",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}é-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
    ],
)
def test_traceparent_that_is_malformed_is_ignored_with_its_tracestate(value: str) -> None:
    assert read(value, "congo=t61rcWkgMzE") is None


def test_tracestate_is_passed_on_as_it_came() -> None:
    state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,, UPPER=not valid"
    context = read(f"00-{TRACE}-{SPAN}-01", state)
    assert context
    assert context.state == state

    def headers() -> dict[str, str]:
        trace_context.current.set(context)
        return trace_context.outgoing()

    assert copy_context().run(headers) == {
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "tracestate": state,
    }


def test_outgoing_headers_are_none_without_a_trace() -> None:
    assert trace_context.outgoing() == {}


def test_headers_that_come_twice_make_a_malformed_traceparent_and_one_tracestate() -> None:
    line = f"00-{TRACE}-{SPAN}-01".encode()
    headers = [(b"traceparent", line), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    assert addresses.by_name(headers)[b"tracestate"] == b"a=1, b=2"
    twice = addresses.by_name([*headers, (b"traceparent", line)])
    assert trace_context.read(twice) is None


def test_shared_work_belongs_to_the_first_recorded_call() -> None:
    recorded = PLACE._replace(recorded=True)
    unseen = PLACE._replace(parent_id=None)
    assert trace_context.shared([None, unseen, PLACE, recorded]) is recorded
    assert trace_context.shared([None, unseen, PLACE]) is PLACE
    assert trace_context.shared([None, unseen]) is None
