"""The gateway's samplers decide as those of OpenTelemetry's SDK with the same name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from gateway.runtime.tracing import sampler
from gateway.runtime.tracing.sampler import Sampler

SPAN = "b7ad6b7169203331"
RATIOS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 2**-64, 1 - 2**-53]))


def of_the_sdk(name: str, ratio: float) -> sampling.Sampler:
    known: Any = sampling._KNOWN_SAMPLERS[name]
    return known if isinstance(known, sampling.Sampler) else known(ratio)


def is_kept(result: sampling.SamplingResult) -> bool:
    return result.decision is sampling.Decision.RECORD_AND_SAMPLE


def parent(trace_id: int, flags: int) -> Context:
    place = SpanContext(trace_id, int(SPAN, 16), is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(place), Context())


@pytest.mark.parametrize("name", sampler.NAMES)
@given(trace_id=st.integers(1, 2**128 - 1), ratio=RATIOS, flags=st.sampled_from([0, 1]))
def test_sampler_decides_about_a_brought_trace_as_the_sdk_does(
    name: str, trace_id: int, ratio: float, flags: int
) -> None:
    headers = {b"traceparent": f"00-{trace_id:032x}-{SPAN}-0{flags}".encode()}
    place = Sampler(name, ratio).place(headers)
    expected = of_the_sdk(name, ratio).should_sample(parent(trace_id, flags), trace_id, "")
    assert place.recorded is place.sampled is is_kept(expected)
    assert (place.trace_id, place.parent_id) == (f"{trace_id:032x}", SPAN)
    # Without a span of the gateway between, the next one's parent is the caller's.
    assert (place.span_id == SPAN) is not place.recorded


@pytest.mark.parametrize("name", sampler.NAMES)
@given(ratio=RATIOS)
def test_sampler_decides_about_a_new_trace_as_the_sdk_does(name: str, ratio: float) -> None:
    place = Sampler(name, ratio).place({})
    expected = of_the_sdk(name, ratio).should_sample(None, int(place.trace_id, 16), "")
    assert place.recorded is place.sampled is is_kept(expected)
    assert place.parent_id is None


@given(trace_id=st.integers(1, 2**128 - 1), ratio=RATIOS)
def test_sampler_keeps_the_trace_ids_that_the_sdk_keeps(trace_id: int, ratio: float) -> None:
    expected = sampling.TraceIdRatioBased(ratio).should_sample(None, trace_id, "")
    kept = Sampler(sampler.RATIO, ratio).keeps(f"{trace_id:032x}")
    assert kept is is_kept(expected)


def test_sampler_at_the_bound_decides_as_the_sdk_does() -> None:
    for ratio in (0.0, 2**-64, 0.1, 0.5, 1 - 2**-53, 1.0):
        bound = sampling.TraceIdRatioBased.get_bound_for_rate(ratio)
        for low in {max(bound - 1, 0), min(bound, 2**64 - 1)}:
            assert Sampler(sampler.RATIO, ratio).keeps(f"{low:032x}") is (low < bound)


@pytest.mark.parametrize(("name", "ratio"), [("jaeger_remote", 1.0), ("traceidratio", 1.5)])
def test_sampler_that_is_unknown_or_has_a_wrong_ratio_is_refused(name: str, ratio: float) -> None:
    with pytest.raises(ValueError, match=r"sampler|ratio"):
        Sampler(name, ratio)


def test_sampler_ignores_a_malformed_traceparent() -> None:
    place = Sampler("parentbased_always_off").place({b"traceparent": b"00-x"})
    assert not place.is_logged
    assert place.traceparent.endswith("-00")
