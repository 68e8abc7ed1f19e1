"""What happened in a run: calls and their answers, faults, mail, and the rows at the end."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Effect = Literal["", "stage", "status", "color", "no status", "session", "no session"]
"""What a call writes: a row, the color of a status, or the end of a row."""

LOST = "lost"
"""The slug of a call whose answer did not arrive."""

WINDOW_MARGIN = 0.5
"""Seconds after a kill in which a client may not have noticed yet that its connection is gone."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, which is requested once, or until it has one of the `final` answers.

    `allowed` are the slugs that its first request may get, `allowed_again` further slugs that a
    repeat may get. `text` identifies the row that it writes, `row_id` the row that it changes.
    """

    number: int
    kind: str
    route: str
    request: bytes
    allowed: frozenset[str]
    allowed_again: frozenset[str] = frozenset()
    final: frozenset[str] = frozenset()
    effect: Effect = ""
    text: str = ""
    row_id: int = 0
    has_mail: bool = False


class Answer(NamedTuple):
    """The answer to one request of an operation; times are of the monotonic clock, in seconds.

    `code` is the HTTP status and `stated` the `code` in the body; both are 0 without an answer.
    `row_id` is the id of the row in the answer, 0 if there is none. `error` says what a connection
    did instead of answering. `token` is that of a new session.
    """

    sent: float
    ended: float
    slug: str
    code: int = 0
    stated: int = 0
    row_id: int = 0
    token: str = ""
    error: str = ""


class Happened(NamedTuple):
    """A fault, from its beginning until what it broke is repaired."""

    name: str
    began: float
    ended: float


class Mail(NamedTuple):
    """A row of the outbox; `stage` is the id of the row that it is about."""

    stage: int
    state: str


@dataclass
class Record:
    """Everything that callers and faults have noted; it is filled while the run goes on."""

    operations: dict[int, Operation] = field(default_factory=dict)
    answers: dict[int, list[Answer]] = field(default_factory=dict)
    faults: list[Happened] = field(default_factory=list)
    kills: list[Happened] = field(default_factory=list)
    """The times in which connections may break, by the name of the process that was killed."""

    arrivals: Counter[int] = field(default_factory=Counter)
    """How often the stand-in accepted each message, by its id in the outbox."""

    applied: list[int] = field(default_factory=list)
    """The revisions whose apply returned."""

    problems: list[str] = field(default_factory=list)
    """What was wrong with the processes themselves."""

    def add(self, operation: Operation, answer: Answer) -> None:
        """Note an answer."""
        self.operations[operation.number] = operation
        self.answers.setdefault(operation.number, []).append(answer)

    @contextlib.contextmanager
    def killing(self, name: str) -> Iterator[None]:
        """Note that connections may break until a moment after the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.kills.append(Happened(name, began, time.monotonic() + WINDOW_MARGIN))


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database holds at the end."""

    stages: Mapping[str, Sequence[int]]
    """The ids of the stages, by their notes."""

    statuses: Mapping[int, tuple[str, str]]
    """The name and the color of each status, by id."""

    sessions: frozenset[int]
    """The ids of the sessions that have not ended."""

    revisions: frozenset[int]
    mails: Mapping[int, Mail]
    torn: Sequence[int] = ()
    """The order requests whose status is not their newest stage."""
