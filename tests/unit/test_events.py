"""The catalogue of events, checked against every place that emits one."""

import ast
import io
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import orjson
import pytest
from support.harness import ROOT

from gateway.runtime import events, log
from gateway.runtime.events import CATALOGUE, Event

FILES = sorted((ROOT / "gateway").rglob("*.py"))
ELSEWHERE = {events.REQUEST, events.LOG_DROPPED}
"""Events that do not pass through `emit`: the access line, and that of the log's own thread."""


def emitted(file: Path) -> Iterator[tuple[Event, set[str], int]]:
    """Each `events.emit(events.X, …)` and `FailureLog(events.X)`: event, fields, line."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.emit":
            names = [ast.unparse(part) for part in ast.walk(node.args[0])]
            for name in names:
                if name.startswith("events."):
                    fields = {str(keyword.arg) for keyword in node.keywords} - {"trace"}
                    yield getattr(events, name.removeprefix("events.")), fields, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "FailureLog":
            name = ast.unparse(node.args[0]).removeprefix("events.")
            yield getattr(events, name), {"reason"}, node.lineno


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_event_is_emitted_with_the_fields_of_the_catalogue(file: Path) -> None:
    for event, fields, line in emitted(file):
        assert fields == set(event.fields), f"{file}:{line}: {event.name}"


def test_event_of_the_catalogue_is_emitted_somewhere() -> None:
    source = "\n".join(file.read_text() for file in FILES if file.name != "events.py")
    missing = [name for name, event in vars(events).items() if _is_missing(name, event, source)]
    assert missing == []


def _is_missing(name: str, event: object, source: str) -> bool:
    return isinstance(event, Event) and event not in ELSEWHERE and f"events.{name}" not in source


def test_event_name_is_unique_and_matches_its_constant() -> None:
    for name, event in vars(events).items():
        if isinstance(event, Event):
            assert event.name.replace(".", "_").replace("-", "_").upper() == name
    assert len({event.name for event in CATALOGUE}) == len(CATALOGUE)


def test_event_catalogue_is_the_only_logger() -> None:
    """A sentence with values in it cannot be filtered; only the catalogue itself logs."""
    loggers = [
        str(file.relative_to(ROOT))
        for file in FILES
        if "logging.getLogger(__name__)" in file.read_text()
    ]
    assert loggers == []


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log of the process, as `log.configure` sets it up."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    with redirect_stderr(io.StringIO()) as out:
        log.configure("info")
        yield out
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


def test_event_line_has_its_fields_and_no_sentence(lines: io.StringIO) -> None:
    events.emit(events.REGISTRY_SERVED, revision=7, routes=2)
    line = orjson.loads(lines.getvalue())
    del line["time"]
    assert line == {"level": "info", "event": "registry.served", "revision": 7, "routes": 2}


def test_event_line_shows_the_frames_of_an_error_and_not_its_text(lines: io.StringIO) -> None:
    try:
        int("secret")
    except ValueError as error:
        events.emit(events.OUTBOX_TASK_CRASHED, trace=error, error=type(error).__name__)
    line = orjson.loads(lines.getvalue())
    assert line["trace"][-1] == "ValueError"
    assert "secret" not in lines.getvalue()


def test_event_line_of_another_library_is_named_log(lines: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("slow: %s", 3)
    line = orjson.loads(lines.getvalue())
    assert (line["event"], line["logger"], line["message"]) == ("log", "asyncio", "slow: 3")


def test_event_reaches_a_subscriber_until_it_unsubscribes() -> None:
    read: list[str] = []
    unsubscribe = events.subscribe(lambda event, _: read.append(event.name))
    events.emit(events.DATABASE_UP)
    unsubscribe()
    events.emit(events.DATABASE_UP)
    assert read == ["database.up"]
