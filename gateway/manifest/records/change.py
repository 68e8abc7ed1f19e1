"""The differences between two states of a namespace, record by record and field by field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from gateway.manifest.records.secret_values import hidden
from gateway.registry import paths

Kind = Literal["application", "service", "route"]
Verb = Literal["add", "change", "delete", "rename"]
Key: TypeAlias = tuple[Kind, str]
Record: TypeAlias = dict[str, Any]
Records: TypeAlias = Mapping[Key, Record]
"""The records of a namespace by (kind, name). A route has the `JSON_TEXTS` as text."""

JSON_TEXTS = ("params", "returns", "examples")
"""The fields of a route that are stored as JSON text, which keeps the order of keys."""

KINDS: tuple[Kind, ...] = ("application", "service", "route")
"""The order in which records are written and shown, since later kinds refer to earlier ones."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One record that differs. `before` is None for an addition, `after` for a deletion.

    `old_name` is that of a renamed route, which is stored as a deletion and an addition.
    """

    kind: Kind
    name: str
    before: Record | None
    after: Record | None
    old_name: str = ""

    @property
    def verb(self) -> Verb:
        """What happens to the record."""
        if self.old_name:
            return "rename"
        if self.before is None:
            return "add"
        return "change" if self.after is not None else "delete"

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """The fields of a changed record that differ, dotted into schemas: (name, old, new).

        Secrets in the settings of a service are hidden.
        """
        if self.before is None or self.after is None:
            return
        differences = list(_differences("", parsed(self.before), parsed(self.after)))
        for name, old, new in differences or _key_order(self.before, self.after):
            if self.kind == "service":
                yield name, hidden(name, old), hidden(name, new)
            else:
                yield name, old, new

    def as_object(self) -> dict[str, Any]:
        """The change as JSON: verb, kind, name, and the fields that differ."""
        fields = [{"field": name, "before": old, "after": new} for name, old, new in self.fields()]
        renamed = {"old_name": self.old_name} if self.old_name else {}
        return {
            "verb": self.verb,
            "kind": self.kind,
            "name": self.name,
            **renamed,
            "fields": fields,
        }


def compare(before: Records, after: Records) -> list[Change]:
    """The changes that lead from one state to the other: routes last, then by name."""
    keys = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    keys.sort(key=lambda key: (KINDS.index(key[0]), key[1]))
    return [
        Change(kind=kind, name=name, before=before.get((kind, name)), after=after.get((kind, name)))
        for kind, name in keys
    ]


def renames(changes: Sequence[Change]) -> dict[str, str]:
    """The routes that keep method and shape of path under another name: new name → old name."""
    routes = [change for change in changes if change.kind == "route"]
    added = {_shape(c.after): c.name for c in routes if c.before is None and c.after}
    deleted = [c for c in routes if c.after is None] if added else []
    return {added[shape]: c.name for c in deleted if (shape := _shape(c.before or {})) in added}


def with_renames(changes: Sequence[Change]) -> list[Change]:
    """The changes as people read them: a deletion and an addition that are one rename are one."""
    old_names = renames(changes)
    if not old_names:
        return list(changes)
    deleted = {c.name: c for c in changes if c.name in set(old_names.values()) and not c.after}
    return [
        _renamed(change, deleted[old_names[change.name]])
        if change.kind == "route" and change.name in old_names
        else change
        for change in changes
        if not (change.kind == "route" and change.name in deleted)
    ]


def _renamed(added: Change, deleted: Change) -> Change:
    return Change(
        kind="route",
        name=added.name,
        before=deleted.before,
        after=added.after,
        old_name=deleted.name,
    )


def _shape(route: Record) -> tuple[str, str]:
    """The requests that a route matches: method, and path without the names of its params."""
    return route["method"], paths.shape(route["path"])


def parsed(record: Record) -> Record:
    """A record with its schemas as objects, so that their fields can differ one by one."""
    texts = {name: orjson.loads(record[name]) for name in JSON_TEXTS if name in record}
    return {**record, **texts} if texts else record


def _key_order(old: Record, new: Record) -> Iterator[tuple[str, Any, Any]]:
    """Schemas that differ only in the order of their keys differ as text."""
    for name in JSON_TEXTS:
        if old.get(name) != new.get(name):
            yield name, old[name], new[name]


def _differences(prefix: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield prefix, old, new
        return
    # The order of the new keys is the manifest's.
    for key in [*new, *(key for key in old if key not in new)]:
        old_value, new_value = old.get(key, _ABSENT), new.get(key, _ABSENT)
        name = f"{prefix}.{key}" if prefix else key
        if old_value is _ABSENT or new_value is _ABSENT:
            yield name, _or_none(old_value), _or_none(new_value)
        elif not same_json(old_value, new_value):
            yield from _differences(name, old_value, new_value)


def _or_none(value: Any) -> Any:  # noqa: ANN401
    return None if value is _ABSENT else value


def same_json(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether two values are equal as JSON: in Python 1, 1.0 and true are equal too."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> bytes:  # noqa: ANN401
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
