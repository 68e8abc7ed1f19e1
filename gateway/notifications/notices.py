"""What an event tells operators: the notification that it raises, or the one that it ends."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway import statuses
from gateway.runtime import events
from gateway.runtime.events import Event, Fields


@dataclass(slots=True)
class Notice:
    """A problem that occurred `count` times; `first_seen` is monotonic seconds.

    `kind` is one of `kinds.KINDS`. Notices with the same `dedup_key` are one notification.
    """

    kind: str
    dedup_key: str
    message: str
    route: str | None = None
    request_id: str | None = None
    first_seen: float = field(default_factory=time.monotonic)
    count: int = 0


def of_event(event: Event, fields: Fields) -> Notice | None:
    """The problem that an event tells, if an operator must act on it."""
    create = _RAISED.get(event)
    return create(fields) if create else None


def ended_by(event: Event, fields: Fields) -> str | None:
    """The deduplication key of the notification that an event ends."""
    if event in _ENDING:
        return _ejection(fields) if fields["address"] else _unresolved(fields)
    return None


def _crash(fields: Fields) -> Notice:
    # The message is the type and the line: the error's text may quote what a caller sent.
    return Notice(
        kind=statuses.APPLICATION_CRASH,
        dedup_key=f"{statuses.APPLICATION_CRASH}:{fields['route'] or ''}:{fields['place']}",
        message=fields["place"],
        route=fields["route"],
        request_id=fields["request_id"],
    )


def _answer_misfit(fields: Fields) -> Notice:
    return Notice(
        kind="answer-misfit",
        dedup_key=f"answer-misfit:{fields['route']}:{fields['rule']}",
        message=f"An answer does not fit `returns` at {fields['rule']}.",
        route=fields["route"],
        request_id=fields["request_id"],
    )


def _endpoint_ejected(fields: Fields) -> Notice:
    endpoint, address = fields["endpoint"], fields["address"]
    # Such as `tours at http://tours:9000 (10.0.0.5)`.
    suffix = "" if address in endpoint else f" ({address})"
    return Notice(
        kind="endpoint-ejected",
        dedup_key=_ejection(fields),
        message=f"{fields['service']} at {endpoint}{suffix}: {fields['reason']}",
    )


def _endpoint_unresolved(fields: Fields) -> Notice:
    return Notice(
        kind="endpoint-unresolved",
        dedup_key=_unresolved(fields),
        message=f"{fields['service']} at {fields['endpoint']}: {fields['reason']}",
    )


def _secret_unusable(fields: Fields) -> Notice:
    service, variable = fields["service"], fields["variable"]
    return Notice(
        kind="secret-unusable",
        dedup_key=f"secret-unusable:{service}:{variable}",
        message=f"{service}: the variable {variable} has no usable secret: {fields['reason']}",
    )


def _went_back(fields: Fields) -> Notice:
    lost, followed = (
        f"{fields[number]} ({fields[uid]})"
        for number, uid in (("lost_revision", "lost_uid"), ("revision", "uid"))
    )
    return Notice(
        kind="registry-went-back",
        # All workers tell it; what they had and what they follow make it one notification.
        dedup_key=f"registry-went-back:{fields['lost_uid']}:{fields['uid']}",
        message=f"The database went back: it has lost revision {lost} of the registry. "
        f"The workers follow revision {followed}.",
    )


def _database_refuses(fields: Fields) -> Notice:
    return Notice(
        kind="database-refuses",
        dedup_key=f"database-refuses:{fields['sqlstate']}",
        message=f"{fields['reason']} ({fields['sqlstate']})",
    )


def _ejection(fields: Fields) -> str:
    return f"endpoint-ejected:{fields['service']}:{fields['endpoint']}:{fields['address']}"


def _unresolved(fields: Fields) -> str:
    return f"endpoint-unresolved:{fields['service']}:{fields['endpoint']}"


_RAISED: Mapping[Event, Callable[[Fields], Notice]] = {
    events.REQUEST_CRASHED: _crash,
    events.REQUEST_ANSWER_MISFIT: _answer_misfit,
    events.SERVICE_ENDPOINT_EJECTED: _endpoint_ejected,
    events.SERVICE_ENDPOINT_UNRESOLVED: _endpoint_unresolved,
    events.SERVICE_SECRET_UNUSABLE: _secret_unusable,
    events.REGISTRY_WENT_BACK: _went_back,
    events.DATABASE_REFUSES: _database_refuses,
}
_ENDING = {events.SERVICE_ENDPOINT_RETURNED, events.SERVICE_ENDPOINT_REMOVED}
