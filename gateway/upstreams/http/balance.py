"""Balance: the less busy of two random targets, as tower's `p2c`.

Two random ones are nearly as good as the best of all, and do not send every worker's calls to the
same one.
"""

import random
from collections.abc import Collection, Sequence

from gateway.upstreams.http.target import Target


def pick(
    targets: Sequence[Target], tried: Collection[Target], now: float, *, may_probe: bool
) -> tuple[Target, bool] | None:
    """A target that was not tried, and whether the call is its probe; None if there is none."""
    in_use = [target for target in targets if not target.ejector.is_ejected]
    if may_probe and len(in_use) < len(targets):
        for target in targets:
            if target not in tried and target.ejector.is_due(now, is_last=not in_use):
                return target, True
    left = [target for target in in_use if target not in tried] if tried else in_use
    if not left:
        return None
    return _less_busy(left), False


def _less_busy(targets: Sequence[Target]) -> Target:
    count = len(targets)
    if count == 1:
        return targets[0]
    # In a third of the time of `random.sample`.
    index = int(random.random() * count)  # noqa: S311 - spreads calls
    other = (index + 1 + int(random.random() * (count - 1))) % count  # noqa: S311
    first, second = targets[index], targets[other]
    return second if second.in_flight < first.in_flight else first
