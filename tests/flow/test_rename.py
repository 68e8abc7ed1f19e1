"""A renamed route keeps its callers: the tokens that cover the old name cover the new one."""

from pathlib import Path
from typing import Any

import pytest
from support.harness import execute, on, serving
from support.manifests import Routes, applied, desired

from gateway import Call, Reply
from gateway.identity.issue import application_token, application_tokens
from gateway.manifest.apply import Author
from gateway.manifest.rollback import rollback
from gateway.upstreams.python import Actions

PATH = "/api/v1/things/say"
BEFORE: Routes = {"things.say": {"path": PATH}, "things.other": {}}
AFTER: Routes = {
    "things.other": {},
    "words.speak": {"path": PATH, "handler": "things.say"},
    "words.more": {},
}


async def token(database: str, routes: str) -> str:
    """A new token of an application for these routes."""
    made: str = await on(
        database, lambda db: application_token(db, "planoorder", routes, "renamed")
    )
    return made


async def listed(database: str) -> list[list[str]]:
    """The routes of the tokens that this module made."""
    rows: list[Any] = await on(database, lambda db: application_tokens(db, None))
    return [row["routes"] for row in rows if row["note"] == "renamed"]


@pytest.mark.parametrize(
    ("routes", "after", "again"),
    [
        ("things.say", ["words.speak"], ["things.say"]),
        (
            "things.other,things.say",
            ["things.other", "words.speak"],
            ["things.other", "things.say"],
        ),
        ("things.*", ["things.*", "words.speak"], ["things.*"]),
        ("things.say,words.*", ["words.*"], ["words.*", "things.say"]),
        ("*", ["*"], ["*"]),
        ("things.other", ["things.other"], ["things.other"]),
    ],
)
async def test_rename_token_covers_the_new_name_and_a_rollback_the_old_one(
    database: str, tmp_path: Path, routes: str, after: list[str], again: list[str]
) -> None:
    revision = (await applied(database, desired(tmp_path, BEFORE))).revision
    await token(database, routes)
    await applied(database, desired(tmp_path, AFTER))
    assert await listed(database) == [after]
    await on(database, lambda db: rollback(db, revision, Author("tests")))
    assert await listed(database) == [again]


async def test_rename_within_a_service_keeps_a_token_of_the_whole_service(
    database: str, tmp_path: Path
) -> None:
    await applied(database, desired(tmp_path, BEFORE))
    await token(database, "things.*")
    same = {"things.tell": {"path": PATH}, "things.other": {}}
    await applied(database, desired(tmp_path, same))
    assert await listed(database) == [["things.*"]]


async def test_rename_leaves_a_revoked_token_as_it_was(database: str, tmp_path: Path) -> None:
    await applied(database, desired(tmp_path, BEFORE))
    await token(database, "things.say")
    await execute(database, "update gateway.application_tokens set revoked_at = now()")
    await applied(database, desired(tmp_path, AFTER))
    assert await listed(database) == [["things.say"]]


async def test_rename_token_that_lists_the_old_name_still_calls_the_route(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    async def say(_: Call) -> Reply:
        return Reply({})

    await applied(database, desired(tmp_path, BEFORE))
    made = await token(database, "things.say")
    await applied(database, desired(tmp_path, AFTER))
    async with serving(database, tokens, actions=Actions({"things.say": say})) as client:
        answer = await client.post(PATH, {"token": made})
    assert answer.json()["status"] == "action-successful"
