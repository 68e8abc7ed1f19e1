"""The documents that a worker keeps: made once for each table, and bounded."""

from typing import Any
from uuid import uuid4

import orjson
import pytest
from support.builders import route

from gateway.pages.openapi import documents
from gateway.pages.openapi.document import openapi
from gateway.pages.openapi.documents import (
    Documents,
    TooManyOperationsError,
    UnknownServiceError,
)
from gateway.registry.table import Table


def table(*services: str, revision: int = 1) -> Table:
    """A table with one route of each service."""
    routes = [route(f"/{name}", name=f"{name}.create", service=name) for name in services]
    return Table(revision, (), routes, revision_uid=uuid4())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The services whose documents were made, None for that of all services."""
    services: list[str | None] = []

    def counted(table: Table, service: str | None) -> dict[str, Any]:
        services.append(service)
        return openapi(table, service)

    monkeypatch.setattr(documents, "openapi", counted)
    return services


def test_document_is_made_once_for_a_table(made: list[str | None]) -> None:
    kept, first = Documents(), table("a", "b")
    one = kept.get(first, "a")
    assert kept.get(first, "a") is one
    assert kept.get(first, None) != one
    assert made == ["a", None]
    assert list(orjson.loads(one.body)["paths"]) == ["/a"]


def test_new_table_has_new_documents_even_of_the_same_revision_number(
    made: list[str | None],
) -> None:
    kept = Documents()
    old = kept.get(table("a"), "a")
    new = kept.get(table("a", "b"), None)
    assert made == ["a", None]
    assert new.etag != old.etag
    assert kept.get(table("a", revision=2), "a").etag != old.etag


def test_equal_documents_of_two_workers_have_one_entity_tag() -> None:
    assert Documents().get(table("a"), "a") == Documents().get(table("a"), "a")


def test_old_table_is_not_kept() -> None:
    kept, first = Documents(), table("a")
    kept.get(first, "a")
    assert first not in vars(kept).values()


def test_oldest_document_goes_when_there_are_too_many_bytes(
    made: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, first = Documents(), table("a", "b", "c")
    size = len(kept.get(first, "a").body)
    monkeypatch.setattr(documents, "MAX_KEPT", 2 * size + 100)
    for service in ("b", "c", "b", "c", "a"):
        kept.get(first, service)
    assert made == ["a", "b", "c", "a"]


def test_document_with_too_many_operations_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_OPERATIONS", 1)
    kept, first = Documents(), table("a", "b")
    with pytest.raises(TooManyOperationsError):
        kept.get(first, None)
    assert kept.get(first, "a").body


def test_unknown_service_is_refused() -> None:
    with pytest.raises(UnknownServiceError):
        Documents().get(table("a"), "b")
