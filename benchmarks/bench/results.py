"""The results of a workload: rows of runs, and the goals that they are compared with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import Run, median

Measure = Callable[[], Run]


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table of goals; `met` is None if the server to compare with was left out."""

    what: str
    goal: str
    measured: str = "not measured"
    met: bool | None = None


@dataclass(slots=True)
class WorkloadResult:
    """The rounds of each row of a workload, in the order of the table."""

    key: str
    title: str
    description: str
    rows: dict[str, list[Run]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    chart_column: str = "rate"
    """The column that the chart and the ratios show."""

    ratio_heading: str = "gateway ×"

    base_row: str | None = "gateway"
    """The row whose value is divided by that of each other row."""

    pairs: dict[str, str] = field(default_factory=dict)
    """Without a base row: the row by which the value of a row is divided."""

    def medians(self) -> dict[str, Run]:
        """The medians of each row."""
        return {name: median(runs) for name, runs in self.rows.items()}

    def ratios(self) -> dict[str, float]:
        """The base row's value divided by each row's; without a base row, ratios of `pairs`."""
        values = {name: getattr(run, self.chart_column) for name, run in self.medians().items()}
        if self.base_row in values:
            return {name: values[self.base_row] / value for name, value in values.items()}
        return {name: values[name] / values[other] for name, other in self.pairs.items()}

    def compare(
        self, what: str, name: str, factor: float, *, column: str = "rate", at_most: bool = False
    ) -> None:
        """Add a goal: the base row has at least, or at most, `factor` times another row's value."""
        goal = f"{'≤' if at_most else '≥'} {factor:g} × {name}"
        if self.base_row not in self.rows or name not in self.rows:
            self.goals.append(Goal(what, goal))
            return
        own, other = (getattr(self.medians()[row], column) for row in (self.base_row, name))
        ratio = own / other
        low, high = self._range(name, column)
        met = ratio <= factor if at_most else ratio >= factor
        measured = f"{ratio:.2f} ({low:.2f} to {high:.2f})"
        self.goals.append(Goal(what=what, goal=goal, measured=measured, met=met))

    def _range(self, name: str, column: str) -> tuple[float, float]:
        """The lowest and the highest ratio of a single round."""
        pairs = zip(self.rows[self.base_row or ""], self.rows[name], strict=True)
        ratios = [getattr(own, column) / getattr(other, column) for own, other in pairs]
        return min(ratios), max(ratios)


def interleaved(measures: dict[str, Measure], rounds: int) -> dict[str, list[Run]]:
    """Measure in turn, round after round; a first round warms up and is dropped."""
    rows: dict[str, list[Run]] = {name: [] for name in measures}
    for _ in range(rounds + 1):
        for name, measure in measures.items():
            rows[name].append(measure())
    return {name: runs[1:] for name, runs in rows.items()}
