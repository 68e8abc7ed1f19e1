"""What a workload found: rows of runs, and the goals that they are held against."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import Run, median

Measure = Callable[[], Run]


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table of goals; `met` is None where something is not there to compare with."""

    what: str
    goal: str
    measured: str = "not measured"
    met: bool | None = None


@dataclass(slots=True)
class Found:
    """The rounds of each row of a workload, in the order of the table."""

    key: str
    title: str
    words: str
    rows: dict[str, list[Run]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    bars: str = "rate"
    """Which column is drawn."""

    ratio: str = "gateway ×"
    """The heading of the ratios, which are of `bars`."""

    base: str | None = "gateway"
    """The row that ratios are of."""

    pairs: dict[str, str] = field(default_factory=dict)
    """Without a base: of which other row a row is shown as a multiple."""

    def medians(self) -> dict[str, Run]:
        """Each row's medians."""
        return {name: median(runs) for name, runs in self.rows.items()}

    def ratios(self) -> dict[str, float]:
        """The base's value as a multiple of each row's; or a row's as one of its pair's."""
        values = {name: getattr(run, self.bars) for name, run in self.medians().items()}
        if self.base in values:
            return {name: values[self.base] / value for name, value in values.items()}
        return {name: values[name] / values[other] for name, other in self.pairs.items()}

    def compare(
        self, what: str, name: str, need: float, *, column: str = "rate", most: bool = False
    ) -> None:
        """Add a goal: the base's column is at least, or at most, `need` times another row's."""
        goal = f"{'≤' if most else '≥'} {need:g} × {name}"
        if self.base not in self.rows or name not in self.rows:
            self.goals.append(Goal(what, goal))
            return
        own, other = (getattr(self.medians()[row], column) for row in (self.base, name))
        ratio = own / other
        low, high = self._range(name, column)
        met = ratio <= need if most else ratio >= need
        self.goals.append(Goal(what, goal, f"{ratio:.2f} ({low:.2f} to {high:.2f})", met))

    def _range(self, name: str, column: str) -> tuple[float, float]:
        """The lowest and the highest ratio of a round."""
        pairs = zip(self.rows[self.base or ""], self.rows[name], strict=True)
        ratios = [getattr(own, column) / getattr(other, column) for own, other in pairs]
        return min(ratios), max(ratios)


def interleaved(measures: dict[str, Measure], rounds: int) -> dict[str, list[Run]]:
    """Measure each in turn, round after round; a first round of each warms up and is dropped."""
    rows: dict[str, list[Run]] = {name: [] for name in measures}
    for _ in range(rounds + 1):
        for name, measure in measures.items():
            rows[name].append(measure())
    return {name: runs[1:] for name, runs in rows.items()}
