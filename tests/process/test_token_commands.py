"""`gateway token`: lists, revocation, how workers follow it, and what is never printed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
from support.command import fails, run, runner, succeeds
from support.harness import Client, execute

from gateway.identity import tokens

Gateway: TypeAlias = Callable[..., str]
COUNT = "/services/statuses/count"
HASHES = "select token_hash from gateway.application_tokens"
NOTIFY_TIMEOUT = 2.0
"""Seconds; fewer than a worker remembers a token for without being notified."""


@pytest.fixture
def gateway(database: str, tmp_path: Path) -> Gateway:
    """The output of a `gateway token` command that exits 0."""
    return runner(succeeds, "token", tmp_path, database)


@pytest.fixture
def refused(database: str, tmp_path: Path) -> Gateway:
    """The error of a `gateway token` command that exits 1."""
    return runner(fails, "token", tmp_path, database)


def create(gateway: Gateway, note: str = "", application: str = "planoorder") -> str:
    words = ("--application", application, "--routes", "order_stages.*,statuses.count")
    return gateway("create", *words, "--note", note).strip()


def list_tokens(gateway: Gateway, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(gateway("list", "--json", *words))
    return rows


async def status(client: Client, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return (await client.request("GET", COUNT, headers=bearer)).status_code


async def wait_for_code(client: Client, token: str, code: int) -> None:
    """Wait until a token is answered with a code; fail if the workers learn of it too late."""
    deadline = asyncio.get_running_loop().time() + NOTIFY_TIMEOUT
    while await status(client, token) != code:
        assert asyncio.get_running_loop().time() < deadline, "the workers have not learned of it"
        await asyncio.sleep(0.02)


def test_token_list_has_application_note_routes_and_times(gateway: Gateway) -> None:
    create(gateway, "nightly import")
    demo, row = list_tokens(gateway)
    assert (demo["note"], demo["routes"]) == ("demo", ["*"])
    assert list(row) == "id application routes note created_at revoked_at state".split()
    expected = {"application": "planoorder", "note": "nightly import", "state": "active"}
    assert expected.items() <= row.items()
    assert row["routes"] == ["order_stages.*", "statuses.count"]
    assert row["created_at"].endswith("+00:00")
    assert row["revoked_at"] is None
    printed = gateway("list")
    assert "order_stages.*, statuses.count" in printed
    assert [name for name in row if name not in printed] == []


def test_token_list_is_limited_to_one_application(gateway: Gateway, refused: Gateway) -> None:
    create(gateway, application="planox2")
    assert [row["application"] for row in list_tokens(gateway)] == ["planoorder", "planox2"]
    assert [row["application"] for row in list_tokens(gateway, "--application", "planox2")] == [
        "planox2"
    ]
    assert list_tokens(gateway, "--application", "planoauth") == []
    assert refused("list", "--application", "x") == (
        "unknown application 'x'; `gateway application list` lists the known ones\n"
    )


@pytest.mark.parametrize("note", ["\x1b[31mRED", "a\nb", "a\u202eb"], ids=ascii)
def test_token_note_has_no_control_characters(
    gateway: Gateway, refused: Gateway, note: str
) -> None:
    words = ("--application", "planoorder", "--routes", "*", "--note", note)
    assert refused("create", *words) == "a note must not contain control characters\n"
    assert len(list_tokens(gateway)) == 1


USELESS = {
    "unknown service": ("foo.bar", "no route of the registry matches foo.bar"),
    "unknown services": ("foo.*", "no route of the registry matches foo.*"),
    "unknown action": ("order_stages.nope", "no route of the registry matches order_stages.nope"),
    "sessions alone": ("sessions.*", "sessions.* gives no route that takes application tokens"),
    "public": (
        "clients.register",
        "clients.register gives no route that takes application tokens",
    ),
    "one of two": ("foo.bar, order_stages.*", "no route of the registry matches foo.bar"),
    "useful": ("order_stages.create,statuses.*", ""),
    "all": ("*", ""),
}


@pytest.mark.parametrize(("routes", "warning"), USELESS.values(), ids=USELESS)
def test_token_for_no_route_is_created_with_a_warning(
    database: str, tmp_path: Path, routes: str, warning: str
) -> None:
    words = ("token", "create", "--application", "planoorder", "--routes", routes)
    result = run(*words, cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    assert (result.returncode, tokens.is_token(result.stdout.strip())) == (0, True)
    assert result.stderr == (warning and f"warning: {warning}\n")


def test_token_revoked_is_listed_and_cannot_be_revoked_again(
    gateway: Gateway, refused: Gateway
) -> None:
    create(gateway)
    number = str(list_tokens(gateway)[-1]["id"])
    assert gateway("revoke", number) == f"revoked token {number} of planoorder\n"
    row = list_tokens(gateway)[-1]
    assert row["state"] == "revoked"
    assert row["revoked_at"] >= row["created_at"]
    assert refused("revoke", number) == f"token {number} of planoorder is already revoked\n"
    assert list_tokens(gateway)[-1] == row


@pytest.mark.parametrize("number", ["0", "4711", str(2**70)])
def test_token_revoke_refuses_an_unknown_id(refused: Gateway, number: str) -> None:
    unknown = f"unknown token {number}; `gateway token list` lists the tokens\n"
    assert refused("revoke", number) == unknown


@pytest.mark.parametrize("words", [(), ("1", "--user", "client@example.com")])
def test_token_revoke_needs_an_id_or_a_user(refused: Gateway, words: tuple[str, ...]) -> None:
    assert refused("revoke", *words).startswith("name what to revoke: ")


async def test_token_rotation_fails_no_call(client: Client, gateway: Gateway) -> None:
    first = await asyncio.to_thread(create, gateway, "first")
    second = await asyncio.to_thread(create, gateway, "second")
    assert [await status(client, first), await status(client, second)] == [200, 200]
    rows = await asyncio.to_thread(list_tokens, gateway)
    [number] = [row["id"] for row in rows if row["note"] == "first"]
    await asyncio.to_thread(gateway, "revoke", str(number))
    await wait_for_code(client, first, 401)
    assert await status(client, second) == 200


async def test_token_revoke_ends_all_sessions_of_one_user(
    client: Client, gateway: Gateway, refused: Gateway
) -> None:
    words = "create --application planoauth --user client@example.com".split()
    another = (await asyncio.to_thread(gateway, *words)).strip()
    assert await status(client, another) == 200
    revoke = ("revoke", "--user", "Client@example.com")
    printed = await asyncio.to_thread(gateway, *revoke)
    assert printed == "ended 2 sessions of Client@example.com\n"
    await wait_for_code(client, another, 401)
    await wait_for_code(client, client.tokens["client"], 401)
    assert await status(client, client.tokens["employee"]) == 200
    assert await status(client, client.tokens["application"]) == 200
    printed = await asyncio.to_thread(gateway, *revoke)
    assert printed == "ended 0 sessions of Client@example.com\n"
    error = await asyncio.to_thread(refused, "revoke", "--user", "x@example.com")
    assert error == "unknown user 'x@example.com'; `gateway user list` lists the users\n"


def test_token_is_printed_by_create_alone(
    gateway: Gateway, refused: Gateway, database: str
) -> None:
    token = create(gateway)
    number = str(list_tokens(gateway)[-1]["id"])
    printed = gateway("list") + gateway("list", "--json") + gateway("revoke", number)
    printed += refused("revoke", number) + gateway("list")
    hashes = [row["token_hash"] for row in asyncio.run(execute(database, HASHES))]
    assert tokens.digest(token) in hashes
    assert tokens.APPLICATION_PREFIX not in printed
    assert [digest for digest in hashes if digest.hex() in printed or str(digest) in printed] == []


def test_token_help_explains_rotation(gateway: Gateway) -> None:
    helped = {verb: " ".join(gateway(verb, "--help").split()) for verb in ("create", "revoke")}
    assert "several tokens at once" in helped["create"]
    assert "create another one first" in helped["revoke"]
