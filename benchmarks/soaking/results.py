"""The samples of a soak in columns: read from the lines of the run, kept beside the page."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

PROCESSES = ("supervisor", "worker 1", "worker 2")
PROCESS_COLUMNS = ("rss", "fds", "threads", "cpu")
"""MiB of resident memory, open descriptors, threads, and processor seconds since the start."""

GROUPS = ("reads", "writes", "mail", "bare")
LATENCIES = ("p50", "p99")

Value = float | None
"""A value is None where a process was not there to be sampled, or a group had no call."""


@dataclass(frozen=True, slots=True)
class Soak:
    """A run. `columns` have one value a sample; column `at` has the seconds since the start."""

    conditions: str
    columns: Mapping[str, Sequence[Value]]
    replaced: int
    answers: Mapping[str, int]
    changes: Mapping[str, int]
    longest: Mapping[str, float]
    tables: Sequence[tuple[str, int, float]] = field(default=())
    notifications: Sequence[tuple[str, int]] = field(default=())

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the lines that a run wrote; a run that was interrupted has no tables."""
        first, *others = [orjson.loads(line) for line in file.read_bytes().splitlines()]
        samples = [line for line in others if "processes" in line]
        end = others[-1]
        return cls(
            conditions=first["conditions"],
            columns=_columns(samples),
            replaced=_replaced(samples),
            answers=_total(line["answers"] for line in others),
            changes=end["changes"]["counts"],
            longest=_longest(line["changes"]["longest"] for line in others),
            tables=end.get("tables", ()),
            notifications=end.get("notifications", ()),
        )

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `save` wrote."""
        return cls(**orjson.loads(file.read_bytes()))

    def save(self, file: Path) -> None:
        """Write a file of JSON with one column a line."""
        text = asdict(self)
        columns = text.pop("columns")
        entries = [_entry(name, value) for name, value in text.items()]
        inner = ",\n".join(_entry(name, values) for name, values in columns.items())
        file.write_text("{\n" + ",\n".join([*entries, f'"columns": {{\n{inner}\n}}']) + "\n}\n")

    def points(self, name: str, start: float = 0.0) -> list[tuple[float, float]]:
        """The (seconds, value) pairs of a column after `start` seconds."""
        pairs = zip(self.columns["at"], self.columns[name], strict=True)
        return [
            (at, value)
            for at, value in pairs
            if at is not None and value is not None and at >= start
        ]

    def values(self, name: str, start: float = 0.0) -> list[float]:
        """The values of a column after `start` seconds."""
        return [value for _, value in self.points(name, start)]


def _entry(name: str, value: Any) -> str:
    return f'"{name}": {orjson.dumps(value).decode()}'


def _columns(samples: Sequence[Mapping[str, Any]]) -> dict[str, list[Value]]:
    columns: dict[str, list[Value]] = {
        "at": [sample["at"] for sample in samples],
        "calls": [sum(sample["answers"].values()) for sample in samples],
        "database connections": [sample["database"]["connections"] for sample in samples],
        "load average": [round(sample["load_average"], 2) for sample in samples],
    }
    for index, process in enumerate(PROCESSES):
        for name in PROCESS_COLUMNS:
            columns[f"{process}: {name}"] = [
                sample["processes"][index].get(name) if index < len(sample["processes"]) else None
                for sample in samples
            ]
    for group, name in itertools.product(GROUPS, LATENCIES):
        columns[f"{group}: {name}"] = [sample.get(group, {}).get(name) for sample in samples]
    return columns


def _replaced(samples: Sequence[Mapping[str, Any]]) -> int:
    """How often the processes changed from one sample to the next."""
    pids = [[process["pid"] for process in sample["processes"]] for sample in samples]
    return sum(before != after for before, after in itertools.pairwise(pids))


def _total(counts: Iterator[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _longest(times: Iterator[Mapping[str, float]]) -> dict[str, float]:
    longest: dict[str, float] = {}
    for name, milliseconds in itertools.chain.from_iterable(time.items() for time in times):
        longest[name] = max(longest.get(name, 0.0), milliseconds)
    return dict(sorted(longest.items()))
