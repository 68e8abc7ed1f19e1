"""What differs between two states of a namespace, record by record and field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

Kind = Literal["service", "route"]
Verb = Literal["add", "change", "delete"]
Key: TypeAlias = tuple[Kind, str]
Record: TypeAlias = dict[str, Any]
Records: TypeAlias = Mapping[Key, Record]
"""The records of a namespace by (kind, name). A route's has its whole schema as text, `params`."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One record that differs. `before` is None for an addition, `after` for a deletion."""

    kind: Kind
    name: str
    before: Record | None
    after: Record | None

    @property
    def verb(self) -> Verb:
        """What happens to the record."""
        if self.before is None:
            return "add"
        return "change" if self.after is not None else "delete"

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """The fields of a changed record that differ, dotted into schemas: (name, old, new)."""
        if self.before is None or self.after is None:
            return
        found = list(_differences("", _readable(self.before), _readable(self.after)))
        yield from found or _order(self.before, self.after)

    def as_object(self) -> dict[str, Any]:
        """For programs."""
        fields = [{"field": name, "before": old, "after": new} for name, old, new in self.fields()]
        return {"verb": self.verb, "kind": self.kind, "name": self.name, "fields": fields}


def compare(before: Records, after: Records) -> list[Change]:
    """All changes that lead from one state to the other, services first."""
    differing = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    differing.sort(key=lambda key: (key[0] != "service", key[1]))
    return [Change(*key, before.get(key), after.get(key)) for key in differing]


def _readable(record: Record) -> Record:
    """A record with its schema as an object, so that its fields can differ one by one."""
    if "params" not in record:
        return record
    return {**record, "params": orjson.loads(record["params"])}


def _order(old: Record, new: Record) -> Iterator[tuple[str, Any, Any]]:
    """All that differs is the order of keys: then the text of the schema says so."""
    if old.get("params") != new.get("params"):
        yield "params", old["params"], new["params"]


def _differences(at: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield at, old, new
        return
    # The new one may come from a manifest, in whose order it is told.
    for name in [*new, *(name for name in old if name not in new)]:
        one, other = old.get(name, _ABSENT), new.get(name, _ABSENT)
        place = f"{at}.{name}" if at else name
        if one is _ABSENT or other is _ABSENT:
            yield place, None if one is _ABSENT else one, None if other is _ABSENT else other
        elif not same(one, other):
            yield from _differences(place, one, other)


def same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether two values are the same JSON: to Python 1, 1.0 and true are equal."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> bytes:  # noqa: ANN401
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
