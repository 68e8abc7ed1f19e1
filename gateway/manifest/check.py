"""Check a manifest without a database, and build the records that `apply` stores.

All errors are collected before any is reported.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import statuses
from gateway.manifest.bulk import paused_gc
from gateway.manifest.records import service_record
from gateway.manifest.records.change import JSON_TEXTS
from gateway.manifest.records.route_record import MAX_NUMBER, route_record
from gateway.manifest.rules import documentation, params, reads_check, schema_check, settings_check
from gateway.manifest.rules.defaults import with_defaults
from gateway.manifest.source.read import Diagnostic, Document, ManifestError, YamlPath, read
from gateway.registry import paths
from gateway.runtime.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route as stored: every default written out, and its complete schema as text."""

    record: dict[str, Any]
    params: str


@dataclass(frozen=True, slots=True)
class Desired:
    """What a namespace should hold, by name."""

    namespace: str
    documents: list[Document] = field(default_factory=list, compare=False, repr=False)
    """Where its records come from; empty for a pinned plan."""

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    routes: dict[str, RouteRecord] = field(default_factory=dict)


def check(path: Path) -> list[Desired]:
    """The records of each namespace of a manifest. Raises ManifestError with all errors."""
    with paused_gc():
        documents = read(path)
        checker = _Checker(path)
        for document in documents:
            document.data = with_defaults(document.data)
            checker.check_schema(document)
        return checker.run(documents)


def watched_folders(path: Path) -> list[Path]:
    """The folders whose files decide what `check` returns.

    Folders rather than files: many editors save by replacing the file with a new one.
    """
    schemas = schema_folder(path)
    inner = [folder for folder in schemas.rglob("*") if folder.is_dir()]
    manifests = path if path.is_dir() else path.resolve().parent
    return [manifests, *([schemas] if schemas.is_dir() else []), *inner]


def schema_folder(path: Path) -> Path:
    """The `schemas/` beside a manifest file, or in or beside a manifest folder."""
    if path.is_dir() and (path / "schemas").is_dir():
        return path / "schemas"
    return path.resolve().parent / "schemas"


class _Checker:
    """One check: collects errors and records over all documents."""

    def __init__(self, path: Path) -> None:
        self._folder = schema_folder(path)
        self._returns = documentation.ReturnsSchemas(self._folder)
        self._diagnostics: list[Diagnostic] = []
        self._desired: dict[str, Desired] = {}
        self._names: dict[str, Document] = {}
        self._slugs: set[str] = set()
        self._invalid: set[tuple[int, YamlPath]] = set()
        self._invalid_services: set[tuple[str, str]] = set()
        self._shapes: dict[tuple[str, str], str] = {}
        self._files: dict[str, Path] = {}
        self._codes = {status.slug: status.http for status in statuses.catalogue()}

    def check_schema(self, document: Document) -> None:
        """Note the entries that violate the schema; `run` checks the other entries."""
        for path, message in schema_check.diagnostics(document.data):
            self._add(document, path, message)
            self._invalid.add((id(document), path[:2]))
            if path[:1] == ("services",) and path[1:]:
                self._invalid_services.add((_namespace(document), str(path[1])))

    def _entries(self, document: Document, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The services or routes of a document that the schema allows."""
        entries = document.data.get(kind) if isinstance(document.data, dict) else None
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if (id(document), (kind, name)) not in self._invalid:
                yield name, entry

    def run(self, documents: list[Document]) -> list[Desired]:
        """The records of all documents. Raises ManifestError."""
        try:
            self._schemas = params.SchemaCache(
                params.read_common(self._folder), self._folder.parent
            )
        except params.ParamsError as error:
            file = str(error.file)
            raise ManifestError(
                [Diagnostic(file=file, message=message) for message in error.messages]
            ) from error
        for document in documents:
            if isinstance(document.data, dict):
                self._desired_in(document).documents.append(document)
            self._check_applications(document)
            self._check_services(document)
        for document in documents:
            self._check_routes(document)
        if self._diagnostics:
            raise ManifestError(self._diagnostics)
        return list(self._desired.values())

    def _desired_in(self, document: Document) -> Desired:
        namespace = _namespace(document)
        return self._desired.setdefault(namespace, Desired(namespace))

    def _add(self, document: Document, path: YamlPath, message: str) -> None:
        self._diagnostics.append(document.diagnostic(path, message))

    def _refuse_duplicate(self, document: Document, path: YamlPath) -> None:
        """Names are unique over all documents and namespaces."""
        key = "/".join(map(str, path))
        if key in self._names:
            first = self._names[key].diagnostic(path, "")
            self._add(document, path, f"is already defined in {first.file}:{first.line}")
        self._names[key] = document

    def _check_applications(self, document: Document) -> None:
        for slug, application in self._entries(document, "applications"):
            self._refuse_duplicate(document, ("applications", slug))
            self._refuse_nul(document, ("applications", slug), application)
            self._desired_in(document).applications[slug] = dict(application)
            self._slugs.add(slug)

    def _check_services(self, document: Document) -> None:
        for name, entry in self._entries(document, "services"):
            path: YamlPath = ("services", name)
            self._refuse_duplicate(document, path)
            self._refuse_nul(document, path, entry)
            service = service_record.service_record(entry)
            for inner, message in service_record.diagnostics(entry):
                self._add(document, (*path, *inner), message)
            for inner, message in settings_check.diagnostics(self._folder / name, service):
                self._add(document, (*path, "settings", *inner), message)
            self._desired_in(document).services[name] = service

    def _check_routes(self, document: Document) -> None:
        for name, entry in self._entries(document, "routes"):
            self._refuse_duplicate(document, ("routes", name))
            errors_before = len(self._diagnostics)
            self._refuse_nul(document, ("routes", name), entry)
            record = route_record(name, entry)
            segments = self._check_route(document, name, record)
            schema = self._params(document, name, entry, record, segments)
            record |= self._documentation(document, name, entry, record["handler"], schema)
            if len(self._diagnostics) == errors_before:
                self._desired_in(document).routes[name] = RouteRecord(record=record, params=schema)

    def _documentation(
        self, document: Document, name: str, entry: dict[str, Any], handler: str, schema: str
    ) -> dict[str, Any]:
        """The fields of a route's documentation, with the schema of its answer."""
        source = self._returns.source(entry, handler)
        returns = documentation.ReturnsSchema() if source is None else self._returns.get(source)
        for message in returns.errors:
            self._add(document, ("routes", name, "returns"), message)
        if schema and not returns.errors:
            for path, message in documentation.diagnostics(entry, schema, returns.text):
                self._add(document, ("routes", name, *path), message)
        return documentation.documentation_fields(entry, returns.text)

    def _check_route(
        self, document: Document, name: str, record: dict[str, Any]
    ) -> tuple[paths.Segment, ...]:
        """Note the errors of a route. Returns the segments of its path, none if it is invalid."""
        path: YamlPath = ("routes", name)
        segments = self._check_path(document, (*path, "path"), name, record)
        self._check_service(document, (*path, "handler"), record["handler"].partition(".")[0])
        if not record["auth"] and record["roles"] is not None:
            message = "a public route cannot have roles; remove `roles`, or require a token"
            self._add(document, (*path, "roles"), message)
        if record["idempotency"] != "off" and (record["sensitive_params"] or not record["auth"]):
            message = "must be off for a public route and for a route with sensitive_params"
            self._add(document, (*path, "idempotency"), message)
        if record["method"] == "GET" and record["sensitive_params"]:
            message = "must be false for GET, whose params are in the URL; use POST"
            self._add(document, (*path, "sensitive_params"), message)
        self._check_roles(document, (*path, "roles"), record["roles"] or {})
        for slug, status in record["statuses"].items():
            self._check_status(document, (*path, "statuses", slug), slug, status["http"])
        self._check_numbers(document, path, record)
        for inner, message in reads_check.diagnostics(record, self._desired_in(document).services):
            self._add(document, (*path, *inner), message)
        return segments

    def _check_service(self, document: Document, path: YamlPath, service: str) -> None:
        services = self._desired_in(document).services
        # A service that the schema refuses has its own error and counts as defined.
        is_reported = (_namespace(document), service) in self._invalid_services
        if service not in services and not is_reported:
            allowed = ", ".join(services) or "none"
            meant = did_you_mean(service, services)
            self._add(
                document, path, f"unknown service {service}{meant}; known services: {allowed}"
            )

    def _check_roles(self, document: Document, path: YamlPath, roles: dict[str, Any]) -> None:
        """The applications of `roles`; a manifest that declares none is checked by `plan`."""
        for slug in roles if self._slugs else ():
            if slug not in self._slugs:
                self._add(document, (*path, slug), unknown_application(slug, self._slugs))

    def _check_numbers(self, document: Document, path: YamlPath, record: dict[str, Any]) -> None:
        for name, unit in (("timeout", "seconds"), ("max_body", "bytes")):
            if record[name] >= MAX_NUMBER:
                self._add(document, (*path, name), f"is too large; must be below 2^53 {unit}")

    def _refuse_nul(self, document: Document, path: YamlPath, entry: dict[str, Any]) -> None:
        for inner_path, text in _texts(entry):
            if "\0" in text:
                message = "contains a NUL character, which PostgreSQL cannot store"
                self._add(document, (*path, *inner_path), message)

    def _check_path(
        self, document: Document, path: YamlPath, name: str, record: dict[str, Any]
    ) -> tuple[paths.Segment, ...]:
        method, pattern = record["method"], record["path"]
        try:
            segments = paths.parse(pattern)
        except paths.PathError as error:
            self._add(document, path, f"{pattern}: {error}")
            return ()
        if paths.is_reserved(pattern):
            reserved = ", ".join(paths.RESERVED)
            message = f"{pattern} is reserved: the gateway itself serves {reserved} and all below"
            self._add(document, path, message)
        if pattern in paths.DOCUMENTED_ELSEWHERE:
            message = f"{pattern} is taken: /documentation{pattern} is a page of the gateway's own"
            self._add(document, path, message)
        other = self._shapes.setdefault((method, paths.shape(pattern)), name)
        if other != name:
            message = (
                f"{method} {pattern} matches the same requests as the route {other}; take another"
            )
            self._add(document, path, message)
        return segments

    def _check_status(self, document: Document, path: YamlPath, slug: str, http: int) -> None:
        if slug in statuses.COMMON:
            message = "is a common status, which every route has already; remove it"
            self._add(document, path, message)
        elif self._codes.setdefault(slug, http) != http:
            self._add(document, path, different_code(http, self._codes[slug]))

    def _params(
        self,
        document: Document,
        name: str,
        entry: dict[str, Any],
        record: dict[str, Any],
        segments: tuple[paths.Segment, ...],
    ) -> str:
        """The route's complete schema as text; empty if it has errors."""
        own, public = self._own_params(entry.get("params"), record["handler"]), not record["auth"]
        try:
            schema = self._schemas.get(own, public=public)
            messages = list(schema.diagnostics(segments, public=public))
        except params.ParamsError as error:
            messages = error.messages
        # Params in the manifest itself have no file to name.
        source = f"{own}: " if isinstance(own, Path) else ""
        for message in messages:
            self._add(document, ("routes", name, "params"), source + message)
        return "" if messages else schema.text

    def _own_params(self, value: Any, handler: str) -> Path | dict[str, Any]:  # noqa: ANN401
        """A route's params or their file, by default `schemas/<service>/<action>.json`."""
        if isinstance(value, dict):
            return value
        name = value or f"{self._folder.name}/{handler.replace('.', '/')}.json"
        if name not in self._files:
            self._files[name] = self._folder.parent / name
        return self._files[name]


def different_code(http: int, other: int) -> str:
    """The message for a slug that two routes map to different HTTP codes."""
    return (
        f"the HTTP code {http} differs from {other} in another route; "
        "a slug has the same code in every route"
    )


def unknown_application(slug: str, known: Iterable[str]) -> str:
    """The message for the roles of an application that does not exist."""
    known = sorted(known)
    return (
        f"unknown application {slug}{did_you_mean(slug, known)}; "
        f"known applications: {', '.join(known) or 'none'}"
    )


def _namespace(document: Document) -> str:
    return str(document.data.get("namespace") if isinstance(document.data, dict) else None)


def _texts(entry: Any) -> Iterator[tuple[YamlPath, str]]:  # noqa: ANN401 - JSON is any
    """The texts of a service or a route with their paths, without its schemas and examples."""
    for name, value in entry.items():
        if name in JSON_TEXTS:
            continue
        if isinstance(value, str):
            yield (name,), value
        elif isinstance(value, dict):
            yield from (((name, *path), text) for path, text in _texts(value))
