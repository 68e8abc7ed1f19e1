"""The registry as a manifest: one document per namespace, schemas inline."""

from collections.abc import Collection
from typing import Any

import yaml

from gateway.database.connect import Connection
from gateway.manifest.records import stored
from gateway.manifest.records.change import Kind, Record, Records, parsed
from gateway.manifest.records.stored import Stored
from gateway.manifest.records.written import as_written
from gateway.manifest.source.read import RESOLVERS
from gateway.runtime.errors import OperatorError


class _Dumper(yaml.SafeDumper):
    """Writes what `read` reads: quotes go around text that would be read as a number."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002
        """Write equal schemas out each time: an alias saves space and is harder to read."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    """Several lines as a block; other unprintable text with escapes, which YAML keeps exactly."""
    lines = text.split("\n")
    style = None if text.isprintable() else "|" if all(map(str.isprintable, lines)) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.yaml_implicit_resolvers = RESOLVERS
_Dumper.add_representer(str, _text)


class UnknownNamespaceError(OperatorError):
    """A namespace that the registry does not have; the text names those that it has."""


async def dump(connection: Connection, namespaces: Collection[str] = ()) -> str:
    """The registry as YAML, or only some namespaces of it, from one state of the database.

    Raises UnknownNamespaceError.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        registry = await stored.read(connection)
    known = sorted(set(registry.owners.values()))
    if unknown := set(namespaces) - set(known):
        raise UnknownNamespaceError(
            f"unknown namespace {', '.join(sorted(unknown))}; known namespaces: "
            f"{', '.join(known) or 'none'}"
        )
    return as_yaml(registry, namespaces or known)


def as_yaml(registry: Stored, namespaces: Collection[str]) -> str:
    """These namespaces, sorted by name; equal registries give equal texts."""
    documents = [
        _document(namespace, registry.records_of(namespace))
        for namespace in sorted(set(namespaces))
    ]
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _document(namespace: str, records: Records) -> dict[str, Any]:
    applications = _sorted(_of_kind("application", records))
    return {
        "version": 1,
        "namespace": namespace,
        **({"applications": applications} if applications else {}),
        "services": {n: _service(r) for n, r in _sorted(_of_kind("service", records)).items()},
        "routes": {name: _route(r) for name, r in _sorted(_of_kind("route", records)).items()},
    }


def _of_kind(kind: Kind, records: Records) -> dict[str, Record]:
    return {name: record for (its_kind, name), record in records.items() if its_kind == kind}


def _sorted(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: entries[name] for name in sorted(entries)}


def _service(record: Record) -> dict[str, Any]:
    """A service as a manifest has it; one of kind `http` cannot have settings."""
    if record["kind"] != "http":
        return record
    service = {name: value for name, value in record.items() if name != "settings"}
    service["timeout"] = f"{round(record['timeout'] * 1000)}ms"
    if health := record["health"]:
        service["health"] = {**health, "interval": f"{round(health['interval'] * 1000)}ms"}
    return {name: value for name, value in service.items() if value is not None}


def _route(record: Record) -> dict[str, Any]:
    """A record as a manifest has it, with every default written out."""
    route = {
        **parsed(record),
        "auth": as_written("auth", record["auth"]),
        "rate_limit": as_written("rate_limit", record.get("rate_limit")),
        "reads": as_written("reads", record.get("reads")),
        "timeout": f"{round(record['timeout'] * 1000)}ms",
        "max_body": f"{record['max_body']}B",
    }
    return {name: value for name, value in route.items() if value is not None}
