"""Runs of Schemathesis against a gateway: calls made from its document, and answers held to it."""

import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from support.harness import IMPORT_PATH

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
"""What a documented answer has. The schema of a response lists the slugs of its HTTP code."""

_ENDS_WITHIN = 400.0
"""Seconds that a run may take beyond its budget."""


@dataclass(frozen=True)
class Budget:
    """How long a run is: examples of each operation from a seed, or seconds with a new seed."""

    examples: int
    seconds: int = 0

    @classmethod
    def of_environment(cls, examples: int) -> "Budget":
        """The minutes of `GATEWAY_TEST_FUZZ_MINUTES`, otherwise a number of examples."""
        minutes = float(os.environ.get("GATEWAY_TEST_FUZZ_MINUTES") or 0)
        return cls(examples, round(minutes * 60))

    def options(self) -> list[str]:
        """The options of Schemathesis."""
        if self.seconds:
            return ["--max-time", str(self.seconds)]
        return ["--max-examples", str(self.examples), "--seed", "1"]


@dataclass(frozen=True)
class Result:
    """A run: its exit code, its report, and the slugs that each operation answered."""

    code: int
    report: str
    slugs: dict[str, set[str]]


def fuzz(url: str, folder: Path, token: str | None, budget: Budget, *options: str) -> Result:
    """Call the operations of a gateway's document as the caller of a token, or without one.

    `options` are more options of `schemathesis run`.
    """
    counts = folder / "counts.json"
    command = (sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json")
    done = subprocess.run(
        [*command, *_OPTIONS, *budget.options(), *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": IMPORT_PATH,
            "SCHEMATHESIS_HOOKS": "support.fuzz_hooks",
            "FUZZ_TOKEN": token or "",
            "FUZZ_COUNTS": str(counts),
        },
        capture_output=True,
        text=True,
        timeout=budget.seconds + _ENDS_WITHIN,
        check=False,
    )
    assert counts.exists(), done.stdout + done.stderr
    return Result(done.returncode, done.stdout, _slugs(orjson.loads(counts.read_bytes())))


_OPTIONS = [
    *("--checks", ",".join(CHECKS)),
    *("--generation-database", "none"),
    *("--continue-on-failure", "--no-color"),
]


def _slugs(counts: list[list[Any]]) -> dict[str, set[str]]:
    slugs: dict[str, set[str]] = defaultdict(set)
    for operation, _code, slug, _number in counts:
        slugs[operation].add(slug)
    return slugs
