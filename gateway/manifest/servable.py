"""Check that the whole registry can be served after some changes.

The check of one manifest cannot find these errors, which are conflicts between manifests.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from gateway.manifest.check import Desired, different_code, unknown_application
from gateway.manifest.records.change import Change, Key, Record
from gateway.manifest.records.stored import Stored
from gateway.manifest.source.diagnostic import Diagnostic, ManifestError, YamlPath, as_text
from gateway.registry import paths
from gateway.registry.records import route_from, service_from
from gateway.registry.schema import ParamSchema, SchemaError

_Errors = Iterator[tuple[YamlPath, str]]


class Sources:
    """The documents that records come from; a pinned plan and a rollback have none."""

    def __init__(self, desired: Iterable[Desired] = ()) -> None:
        self._documents = [document for state in desired for document in state.documents]

    def diagnostic(self, path: YamlPath, message: str) -> Diagnostic:
        """An error at a path, in the file that has the record, otherwise in the registry."""
        section, name = path[:2]
        for document in self._documents:
            if name in (document.data.get(section) or ()):
                return document.diagnostic(path, message)
        return Diagnostic(file="registry", path=as_text(path), message=message)


def refuse_foreign(
    registry: Stored, namespace: str, changes: Sequence[Change], sources: Sources
) -> None:
    """Refuse changes of records of another namespace. Raises ManifestError."""
    diagnostics = [
        sources.diagnostic(
            (f"{change.kind}s", change.name),
            f"belongs to the namespace {owner}; take another name, or delete it there first",
        )
        for change in changes
        if (owner := registry.owners.get((change.kind, change.name), namespace)) != namespace
    ]
    if diagnostics:
        raise ManifestError(diagnostics)


def refuse_unservable(conflicts: Stored, changes: Sequence[Change], sources: Sources) -> None:
    """Check changes against the records that they may conflict with. Raises ManifestError.

    The registry never stores a state that workers cannot serve.
    """
    after = conflicts.records_after(list(changes)) if changes else {}
    changed = {(change.kind, change.name) for change in changes}
    errors = [
        *_invalid(after, changed),
        *_equal_shapes(after, changed, conflicts),
        *_different_codes(after),
        *_unknown_applications(after, conflicts.slugs_after(list(changes))),
    ]
    if errors:
        raise ManifestError([sources.diagnostic(path, message) for path, message in errors])


def _invalid(records: dict[Key, Record], changed: set[Key]) -> _Errors:
    """Records that cannot be served. Unchanged schemas were compiled before."""
    services = {name for kind, name in records if kind == "service"}
    for (kind, name), record in records.items():
        if kind == "service":
            service_from(name, record)
        if kind != "route":
            continue
        service = record["handler"].partition(".")[0]
        message = _compile_error(name, record) if (kind, name) in changed else None
        if not message and service not in services:
            message = f"its service {service} would be deleted"
        if message:
            yield ("routes", name), message


def _compile_error(name: str, record: Record) -> str | None:
    try:
        route_from(name, record, _compiled(record["params"]))
    except SchemaError as error:
        return f"its params cannot be compiled: {error}"
    return None


@lru_cache(maxsize=4096)
def _compiled(text: str) -> ParamSchema:
    """A compiled schema, cached for the next route with equal params. Raises SchemaError."""
    schema = ParamSchema(text)
    schema.compile()
    return schema


def _equal_shapes(records: dict[Key, Record], changed: set[Key], registry: Stored) -> _Errors:
    """Routes that would match the same requests."""
    first: dict[tuple[str, str], str] = {}
    for (kind, name), record in records.items():
        if kind != "route":
            continue
        other = first.setdefault((record["method"], paths.shape(record["path"])), name)
        if other == name:
            continue
        at, with_ = (name, other) if ("route", name) in changed else (other, name)
        owner = registry.owners.get(("route", with_))
        place = f" of the namespace {owner}" if owner else ""
        requests = f"{record['method']} {records['route', at]['path']}"
        message = f"{requests} matches the same requests as the route {with_}{place}"
        yield ("routes", at, "path"), f"{message}; take another path, or delete {with_} first"


def _different_codes(records: dict[Key, Record]) -> _Errors:
    """Slugs with two HTTP codes across manifests."""
    codes: dict[str, int] = {}
    for (_, name), record in records.items():
        for slug, status in record.get("statuses", {}).items():
            code = codes.setdefault(slug, status["http"])
            if code != status["http"]:
                yield ("routes", name, "statuses", slug), different_code(status["http"], code)


def _unknown_applications(records: dict[Key, Record], slugs: frozenset[str]) -> _Errors:
    """Roles of an application that neither the manifest nor the registry has."""
    for (kind, name), record in records.items():
        for slug in record["roles"] or () if kind == "route" else ():
            if slug not in slugs:
                yield ("routes", name, "roles", slug), unknown_application(slug, slugs)
