"""The documents of the table that a worker serves: made when a client asks, and then kept."""

import hashlib
import threading
from typing import NamedTuple

import orjson

from gateway.pages.openapi.document import documented_routes, documented_services, openapi
from gateway.registry.revision import Revision
from gateway.registry.table import Table

MAX_OPERATIONS = 2000
"""Operations of a document that a worker makes: half a second of CPU time, and 3 to 5 MB."""

MAX_KEPT = 32 * 1024 * 1024
"""Bytes of the documents that a worker keeps."""


class Document(NamedTuple):
    """A document as JSON; `etag` is its entity tag, with quotes."""

    body: bytes
    etag: str


class UnknownServiceError(Exception):
    """No documented route belongs to this service."""


class TooManyOperationsError(Exception):
    """The document would have more than `MAX_OPERATIONS`."""


class Documents:
    """The documents of one table at a time; a new table has new ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Not the table itself: this must not keep the memory of one that is no longer served.
        self._revision: Revision | None = None
        self._services: list[str] = []
        self._kept: dict[str | None, Document] = {}

    def services(self, table: Table) -> list[str]:
        """The services that have a document of their own, by name."""
        with self._lock:
            self._turn_to(table)
            return self._services

    def get(self, table: Table, service: str | None) -> Document:
        """The document of all services, or of one; a request waits while another makes it.

        Raises UnknownServiceError, TooManyOperationsError.
        """
        with self._lock:
            self._turn_to(table)
            if service is not None and service not in self._services:
                raise UnknownServiceError
            if service not in self._kept:
                self._keep(service, _made(table, service))
            return self._kept[service]

    def _turn_to(self, table: Table) -> None:
        if self._revision != table.identity:
            self._revision = table.identity
            self._services = documented_services(table)
            self._kept = {}

    def _keep(self, service: str | None, document: Document) -> None:
        """Keep a document, and let the oldest go for it."""
        while self._kept and _size(self._kept) + len(document.body) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[service] = document


def _size(documents: dict[str | None, Document]) -> int:
    return sum(len(document.body) for document in documents.values())


def _made(table: Table, service: str | None) -> Document:
    if len(documented_routes(table, service)) > MAX_OPERATIONS:
        raise TooManyOperationsError
    body = orjson.dumps(openapi(table, service))
    # Of the content: another version of the gateway may write another document of a revision.
    return Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
