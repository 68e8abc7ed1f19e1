"""What an event is, and how one is emitted: it is logged once, and passed to the readers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

Level: TypeAlias = Literal["debug", "info", "warning", "error"]


class Event(NamedTuple):
    """One row of the catalogue: `fields` are the names of the values that each occurrence has."""

    name: str
    level: Level
    fields: tuple[str, ...]
    sentence: str


Fields: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[Event, Fields], None]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_log = logging.getLogger("gateway")
_readers: list[Reader] = []


def emit(event: Event, *, trace: BaseException | None = None, **fields: Any) -> None:  # noqa: ANN401
    """Log an event and pass it to the readers. `trace` is an error whose frames are logged."""
    # As text for any handler; ours writes `event` and `fields` as one JSON line.
    extra = {"event": event.name, "fields": fields}
    _log.log(_LEVELS[event.level], "%s %s", event.name, fields, exc_info=trace, extra=extra)
    for reader in _readers:
        reader(event, fields)


def subscribe(reader: Reader) -> Callable[[], None]:
    """Pass every event to a reader from now on; return a function that ends the subscription."""
    _readers.append(reader)
    return lambda: _readers.remove(reader)
