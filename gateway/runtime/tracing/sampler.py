"""Which requests are recorded: decided here, as the samplers of OpenTelemetry's SDK decide it.

So a request that is not recorded never touches the SDK.
"""

from collections.abc import Mapping

from gateway.runtime import random_ids, trace_context
from gateway.runtime.trace_context import TRACEPARENT
from gateway.values import TraceContext

FOLLOWS_PARENT = "parentbased_"
RATIO = "traceidratio"
RATIOS: dict[str, float | None] = {"always_on": 1.0, "always_off": 0.0, RATIO: None}
NAMES = (*RATIOS, *(FOLLOWS_PARENT + name for name in RATIOS))
DEFAULT = FOLLOWS_PARENT + "always_on"

_BITS = 64
_ABOVE_ALL = "g"
"""Sorts behind every hex digit."""


class Sampler:
    """One of the SDK's samplers by its name; `ratio` counts for those with `traceidratio`.

    `ratio` is 0 to 1. Raises ValueError for any other, and for a name that is not in `NAMES`.
    """

    def __init__(self, name: str = DEFAULT, ratio: float = 1.0) -> None:
        if name not in NAMES:
            raise ValueError("unknown sampler")
        self._follows_parent = name.startswith(FOLLOWS_PARENT)
        fixed = RATIOS[name.removeprefix(FOLLOWS_PARENT)]
        self._bound = _bound(ratio if fixed is None else fixed)

    def place(self, headers: Mapping[bytes, bytes]) -> TraceContext:
        """The place of a request in the trace that it brings, or in a new one."""
        brought = trace_context.read(headers) if TRACEPARENT in headers else None
        if brought is None:
            trace_id = random_ids.make()
            recorded = self.keeps(trace_id)
            # The first span of a trace may take its id from the trace's, which is as random.
            return TraceContext(trace_id, trace_id[:16], recorded, recorded=recorded)
        recorded = brought.sampled if self._follows_parent else self.keeps(brought.trace_id)
        if not recorded:
            # What is called from here has the caller's span as its parent: there is none between.
            return brought._replace(sampled=False) if brought.sampled else brought
        span_id = random_ids.make()[:16]
        return brought._replace(span_id=span_id, sampled=True, recorded=True)

    def keeps(self, trace_id: str) -> bool:
        """Whether the ratio keeps a trace: the last 64 bits of its id are below a bound."""
        return trace_id[16:] < self._bound


def _bound(ratio: float) -> str:
    if not 0 <= ratio <= 1:
        raise ValueError("the ratio is not between 0 and 1")
    bound = round(ratio * 2**_BITS)
    return _ABOVE_ALL if bound == 2**_BITS else f"{bound:016x}"
