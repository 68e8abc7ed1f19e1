"""Every answer to a call of a documented route is documented, whatever token the call has.

Schemathesis makes the calls from `/openapi.json`: right ones, wrong ones, and those at the edges of
the schemas. `make fuzz` runs this for minutes, with new calls each time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fuzzing import Budget, fuzz
from support.harness import settings
from support.servers import listening

from gateway.pages.openapi import document
from gateway.pages.openapi.responses import responses
from gateway.serve import server
from gateway.serve.worker import Worker

MANY = {"unknown_callers": "1000000", "account_guesses": "1000000", "address_guesses": "1000000"}
"""Limits of guesses that a run does not reach: behind them other answers would not be seen."""

REACHED = {
    "application": {
        "order_stages.create": {"success", "invalid-param"},
        "order_stages.history": {"success", "invalid-param"},
        "order_stages.index": {"route-not-found"},
        "appointments.create": {"service-not-found"},
        "sessions.read": {"session-required"},
        "statuses.create": {"success", "invalid-param"},
    },
    "employee": {
        "order_stages.create": {"success", "missing-param", "invalid-content-type"},
        "order_statuses.read": {"success", "no-params-decoded", "invalid-encoded-params"},
        "sessions.create": {"success", "email-not-found", "invalid-encoded-params"},
        "sessions.index": {"success", "invalid-param"},
        "sessions.delete": {"success", "invalid-param"},
        "statuses.read": {"success", "invalid-param"},
        "users.update_password": {"success", "invalid-password", "missing-param"},
        "users.client_register": {"success", "client-validation-failed"},
        "users.reset_password": {"success", "rate-limit-exceeded"},
    },
    "none": {
        "order_stages.create": {"missing-param", "invalid-token"},
        "statuses.index": {"202"},
        "users.confirm_reset": {"invalid-reset-token"},
        "clients.register": {"email-already-registered"},
    },
}
"""Slugs that a seeded run gets at least: one that is refused at the first stage proves little."""


@pytest.fixture
async def url(database: str) -> AsyncIterator[str]:
    """The address of a gateway with the demo data."""
    given = settings(database, **MANY)
    async with listening(server.server(Worker(given), given)) as listener:
        yield server.url(listener)


PHASES = {"employee": "examples,coverage,fuzzing"}
"""The edges of schemas take most of the time, and no other caller is let in at more routes."""


@pytest.mark.parametrize("caller", REACHED)
async def test_every_answer_is_documented(
    url: str, tokens: dict[str, str], tmp_path: Path, caller: str
) -> None:
    options = ("--phases", PHASES.get(caller, "examples,fuzzing"))
    budget = Budget.of_environment(examples=6)
    result = await asyncio.to_thread(fuzz, url, tmp_path, tokens.get(caller), budget, *options)
    assert result.code == 0, result.report
    reached = {} if budget.seconds else REACHED[caller]
    for operation, slugs in reached.items():
        assert result.slugs[operation] >= slugs, operation


def _without_code(answers: dict[str, Any]) -> None:
    del answers["400"]


def _without_slugs(answers: dict[str, Any]) -> None:
    answers["400"] = answers["401"]


@pytest.mark.parametrize(
    ("change", "report"),
    [(_without_code, "Undocumented status code"), (_without_slugs, "violates schema")],
)
async def test_run_finds_an_answer_that_is_not_documented(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], None],
    report: str,
) -> None:
    def changed(*args: Any) -> dict[str, Any]:
        found = responses(*args)
        change(found)
        return found

    monkeypatch.setattr(document, "responses", changed)
    options = ("--phases", "examples", "--include-operation-id", "order_statuses.read")
    result = await asyncio.to_thread(fuzz, url, tmp_path, None, Budget(examples=1), *options)
    assert result.code == 1
    assert report in result.report
