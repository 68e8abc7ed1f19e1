"""Check a manifest offline and make the records that `apply` stores.

All faults are found before any is told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import statuses
from gateway.manifest import params, schema_check
from gateway.manifest.bulk import without_collection
from gateway.manifest.read import Diagnostic, Document, ManifestError, Place, read
from gateway.registry import paths
from gateway.registry.records import DEFAULT_MAX_BODY, DEFAULT_TIMEOUT

MAX_NUMBER = 2.0**53
"""Seconds or bytes: whole numbers beyond are not the same everywhere."""

_UNITS = {"ms": 0.001, "s": 1.0, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
PERIODS = {1: "second", 60: "minute", 3600: "hour"}
"""Of a rate limit, by their seconds."""

_SECONDS = {name: seconds for seconds, name in PERIODS.items()}


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route as it is stored: every default written out, and its whole schema as text."""

    record: dict[str, Any]
    params: str


@dataclass(frozen=True, slots=True)
class Desired:
    """What a namespace should hold, by name."""

    namespace: str
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    routes: dict[str, RouteRecord] = field(default_factory=dict)


def check(path: Path) -> list[Desired]:
    """The records of each namespace of a manifest. Raises ManifestError with all faults."""
    with without_collection():
        documents = read(path)
        checker = _Checker(path)
        for document in documents:
            checker.check_form(document)
        return checker.run(documents)


def watched(path: Path) -> list[Path]:
    """The folders in which a change may change what `check` answers.

    Not files: many editors save by putting a new file in the place of the old one.
    """
    schemas = schema_folder(path)
    inside = [place for place in schemas.rglob("*") if place.is_dir()]
    around = path if path.is_dir() else path.resolve().parent
    return [around, *([schemas] if schemas.is_dir() else []), *inside]


def schema_folder(path: Path) -> Path:
    """The `schemas/` beside a manifest file, or in or beside a manifest folder."""
    if path.is_dir() and (path / "schemas").is_dir():
        return path / "schemas"
    return path.resolve().parent / "schemas"


def warnings(desired: Iterable[Desired], actions: Iterable[str]) -> Iterator[str]:
    """What is allowed and worth a word: deployed routes for which there is no code here."""
    known = set(actions)
    for each in desired:
        for name, route in each.routes.items():
            handler = route.record["handler"]
            service = each.services[handler.partition(".")[0]]
            if route.record["deployed"] and service["deployed"] and handler not in known:
                yield f"{name}: no code here for {handler}; it will answer service-not-found"


class _Checker:
    """One check: gathers faults and records over all documents."""

    def __init__(self, path: Path) -> None:
        self._folder = schema_folder(path)
        self._diagnostics: list[Diagnostic] = []
        self._desired: dict[str, Desired] = {}
        self._names: dict[str, Document] = {}
        self._ill_formed: set[tuple[int, Place]] = set()
        self._ill_formed_services: set[tuple[str, str]] = set()
        self._shapes: dict[tuple[str, str], str] = {}
        self._files: dict[str, Path] = {}
        self._codes = {status.slug: status.http for status in statuses.catalogue()}

    def check_form(self, document: Document) -> None:
        """Note what is ill-formed; the rest of the document is checked all the same."""
        for place, message in schema_check.diagnostics(document.data):
            self._add(document, place, message)
            self._ill_formed.add((id(document), place[:2]))
            if place[:1] == ("services",) and place[1:]:
                self._ill_formed_services.add((_namespace(document), str(place[1])))

    def _entries(self, document: Document, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The well-formed services or routes of a document."""
        found = document.data.get(kind) if isinstance(document.data, dict) else None
        for name, entry in found.items() if isinstance(found, dict) else ():
            if (id(document), (kind, name)) not in self._ill_formed:
                yield name, entry

    def run(self, documents: list[Document]) -> list[Desired]:
        """The records of all documents. Raises ManifestError."""
        try:
            self._schemas = params.SchemaCache(params.read_common(self._folder))
        except params.ParamsError as error:
            file = str(error.file)
            raise ManifestError(
                [Diagnostic(file, 0, "", text) for text in error.messages]
            ) from error
        for document in documents:
            if isinstance(document.data, dict):
                self._of(document)
            self._services(document)
        for document in documents:
            self._routes(document)
        if self._diagnostics:
            raise ManifestError(self._diagnostics)
        return list(self._desired.values())

    def _of(self, document: Document) -> Desired:
        namespace = _namespace(document)
        return self._desired.setdefault(namespace, Desired(namespace))

    def _add(self, document: Document, place: Place, message: str) -> None:
        self._diagnostics.append(document.diagnostic(place, message))

    def _claim(self, document: Document, place: Place) -> None:
        """A name is given once, over all documents and namespaces."""
        key = "/".join(map(str, place))
        if key in self._names:
            other = self._names[key].diagnostic(place, "")
            self._add(document, place, f"is defined already in {other.file}:{other.line}")
        self._names[key] = document

    def _services(self, document: Document) -> None:
        for name, service in self._entries(document, "services"):
            self._claim(document, ("services", name))
            self._judge_texts(document, ("services", name), service)
            self._of(document).services[name] = dict(service)

    def _routes(self, document: Document) -> None:
        for name, given in self._entries(document, "routes"):
            self._claim(document, ("routes", name))
            before = len(self._diagnostics)
            self._judge_texts(document, ("routes", name), given)
            record = _with_defaults(name, given)
            segments = self._judge(document, name, record)
            text = self._params(document, name, given, record, segments)
            if len(self._diagnostics) == before:
                self._of(document).routes[name] = RouteRecord(record, text)

    def _judge(
        self, document: Document, name: str, record: dict[str, Any]
    ) -> tuple[paths.Segment, ...]:
        """Note the faults of a route; answers the segments of its path, none if it is no path."""
        place: Place = ("routes", name)
        segments = self._judge_path(document, (*place, "path"), name, record)
        service = record["handler"].partition(".")[0]
        known = self._of(document).services
        # An ill-formed service was told already, and is there all the same.
        told = (_namespace(document), service) in self._ill_formed_services
        if service not in known and not told:
            allowed = ", ".join(known) or "none"
            message = f"there is no service {service}; the services are: {allowed}"
            self._add(document, (*place, "handler"), message)
        if not record["auth"] and record["roles"] is not None:
            self._add(document, (*place, "roles"), "a public route has no roles")
        if record["idempotency"] != "off" and (record["sensitive_params"] or not record["auth"]):
            message = (
                "must be off: a public route has no caller, and a sensitive one keeps no answer"
            )
            self._add(document, (*place, "idempotency"), message)
        for slug, status in record["statuses"].items():
            self._judge_status(document, (*place, "statuses", slug), slug, status["http"])
        self._judge_measures(document, place, record)
        return segments

    def _judge_measures(self, document: Document, place: Place, record: dict[str, Any]) -> None:
        for name, unit in (("timeout", "seconds"), ("max_body", "bytes")):
            if record[name] >= MAX_NUMBER:
                self._add(document, (*place, name), f"is too much: 2^53 {unit} or more")

    def _judge_texts(self, document: Document, place: Place, given: dict[str, Any]) -> None:
        for inner, text in _texts(given):
            if "\0" in text:
                self._add(document, (*place, *inner), "holds a NUL, which PostgreSQL cannot keep")

    def _judge_path(
        self, document: Document, place: Place, name: str, record: dict[str, Any]
    ) -> tuple[paths.Segment, ...]:
        path = record["path"]
        try:
            segments = paths.parse(path)
        except paths.PathError as error:
            self._add(document, place, f"{path}: {error}")
            return ()
        if paths.is_reserved(path):
            own = ", ".join(paths.RESERVED)
            message = f"{path} belongs to the gateway itself, as all below {own} does"
            self._add(document, place, message)
        shape = (record["method"], paths.shape(path))
        other = self._shapes.setdefault(shape, name)
        if other != name:
            message = f"{record['method']} {path} has the same shape as the route {other}"
            self._add(document, place, message)
        return segments

    def _judge_status(self, document: Document, place: Place, slug: str, http: int) -> None:
        if slug in statuses.COMMON:
            self._add(document, place, "is a common status: every route may answer it already")
        elif self._codes.setdefault(slug, http) != http:
            message = "a slug has one HTTP code everywhere, and another route says "
            self._add(document, place, message + str(self._codes[slug]))

    def _params(
        self,
        document: Document,
        name: str,
        given: dict[str, Any],
        record: dict[str, Any],
        segments: tuple[paths.Segment, ...],
    ) -> str:
        """The route's whole schema as text; empty if there are faults."""
        own, public = self._own_params(given.get("params"), record["handler"]), not record["auth"]
        try:
            whole = self._schemas.of(own, public=public)
            messages = list(whole.diagnostics(segments, public=public))
        except params.ParamsError as error:
            messages = error.messages
        # Params in the manifest itself have no file to name.
        source = f"{own}: " if isinstance(own, Path) else ""
        for message in messages:
            self._add(document, ("routes", name, "params"), source + message)
        return "" if messages else whole.text

    def _own_params(self, given: Any, handler: str) -> Path | dict[str, Any]:  # noqa: ANN401
        """A route's params, or their file: `schemas/<service>/<action>.json` unless it is named."""
        if isinstance(given, dict):
            return given
        name = given or f"{self._folder.name}/{handler.replace('.', '/')}.json"
        if name not in self._files:
            self._files[name] = self._folder.parent / name
        return self._files[name]


def _namespace(document: Document) -> str:
    return str(document.data.get("namespace") if isinstance(document.data, dict) else None)


def _with_defaults(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """A route's record with every default written out, units turned into seconds and bytes."""
    handler = given.get("handler", name)
    return {
        "handler": handler,
        "method": given["method"],
        "path": given.get("path", f"/api/v1/{name.replace('.', '/')}"),
        "deployed": given["deployed"],
        "title": given["title"],
        "description": given.get("description", ""),
        "auth": [] if given["auth"] == "public" else sorted(given["auth"]),
        "roles": given.get("roles"),
        "client_required": given.get("client_required", True),
        "sensitive_params": given.get("sensitive_params", False),
        "envelope": given.get("envelope", "plano"),
        "idempotency": given.get("idempotency", "off"),
        "rate_limit": _rate(given["rate_limit"]) if "rate_limit" in given else None,
        # JSON Schema takes 404.0 for an integer too.
        "statuses": {
            slug: {**status, "http": int(status["http"])}
            for slug, status in given.get("statuses", {}).items()
        },
        "timeout": _measure(given["timeout"]) if "timeout" in given else DEFAULT_TIMEOUT,
        "max_body": int(_measure(given["max_body"])) if "max_body" in given else DEFAULT_MAX_BODY,
    }


def _rate(text: str) -> list[int]:
    """`50/minute` as calls and seconds."""
    calls, _, unit = text.partition("/")
    return [int(calls), _SECONDS[unit]]


def _texts(given: Any) -> Iterator[tuple[Place, str]]:  # noqa: ANN401 - JSON is any
    """The texts of a service or a route with their places, but for the params."""
    for name, value in given.items():
        if name == "params":
            continue
        if isinstance(value, str):
            yield (name,), value
        elif isinstance(value, dict):
            yield from (((name, *place), text) for place, text in _texts(value))


def _measure(text: str) -> float:
    """`10s` in seconds, `1MiB` in bytes; the manifest's schema has checked the schema_check."""
    number = text.rstrip("BKMims")
    return min(float(number) * _UNITS[text[len(number) :]], MAX_NUMBER)
