"""`gateway application`: what it lists and shows, and the tokens of a removed application."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import orjson
import pytest
from support.command import fails, runner, succeeds
from support.harness import execute

Gateway: TypeAlias = Callable[..., str]


@pytest.fixture
def gateway(database: str, tmp_path: Path) -> Gateway:
    """The output of a command that exits 0."""
    return runner(succeeds, "application", tmp_path, database)


@pytest.fixture
def refused(database: str, tmp_path: Path) -> Gateway:
    """The error of a command that exits 1."""
    return runner(fails, "application", tmp_path, database)


def test_application_list_and_show(gateway: Gateway, refused: Gateway) -> None:
    rows = orjson.loads(gateway("list", "--json"))
    assert list(rows[0]) == "slug title roles namespace state tokens sessions".split()
    assert [(row["slug"], row["tokens"], row["sessions"]) for row in rows] == [
        ("planoauth", 0, 0),
        ("planoorder", 1, 4),
        ("planox2", 0, 0),
    ]
    shown = orjson.loads(gateway("show", "planoorder", "--json"))
    assert (shown["title"], shown["namespace"]) == ("PlanOrder", "plano")
    assert shown["roles"] == ["client", "employee", "liaison"]
    assert [token["note"] for token in shown["tokens"]] == ["demo"]
    printed = gateway("show", "planoorder")
    for word in ("PlanOrder", "client, employee, liaison", "plano", "demo"):
        assert word in printed
    assert refused("show", "planorder") == (
        "unknown application 'planorder' (did you mean planoorder?); "
        "`gateway application list` lists the known ones\n"
    )


def test_application_help_says_that_the_manifest_declares_applications(gateway: Gateway) -> None:
    for verb in ("list", "show"):
        text = " ".join(gateway(verb, "--help").split())
        assert "declared in the manifest alone" in text


def test_application_that_was_removed_is_listed_and_gets_no_token(
    gateway: Gateway, refused: Gateway, database: str
) -> None:
    remove = "update gateway.applications set removed_at = now() where slug = 'planox2'"
    asyncio.run(execute(database, remove))
    rows = orjson.loads(gateway("list", "--json"))
    assert [row["state"] for row in rows] == ["active", "active", "removed"]
    for words in (("--routes", "*"), ("--user", "client@example.com")):
        error = refused("create", "--application", "planox2", *words, noun="token")
        assert error.startswith("the application 'planox2' was removed: its manifest left it out")
        assert error.endswith(" UTC; apply a manifest that has it\n")
