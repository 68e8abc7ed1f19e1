"""Users as commands leave them, and what they set themselves: preferences and sessions."""

import asyncio
from typing import Any

import httpx2
import pytest
from support.accounts import DONE, LIST, READ, log_in, new_token, outcome, wait_for
from support.harness import Client, execute, on, serving

from gateway.database.handle import Database
from gateway.identity import old_sessions, tokens, users

PREFERENCES = "/api/v1/users/update_preferences"


async def put(client: Client, path: str, params: dict[str, Any]) -> httpx2.Response:
    return await client.request("PUT", path, json=params)


# Disabled users


async def test_disabled_user_is_refused_after_the_right_password_alone(client: Client) -> None:
    token = await new_token(client)
    ended = await on(client.database_url, lambda db: users.disable(db, "CLIENT@example.com"))
    assert ended == 2  # the demo has a session of this user too
    await wait_for(client, token, (401, "invalid-token"))
    answer = await log_in(client)
    assert outcome(answer) == (403, "permission-denied")
    assert answer.json()["message"] == "The account is disabled."
    assert "session" not in answer.json()
    assert outcome(await log_in(client, password="wrong-password")) == (400, "invalid-password")
    await on(client.database_url, lambda db: users.enable(db, "client@example.com"))
    assert outcome(await client.post(READ, {"token": token})) == (401, "invalid-token")
    assert outcome(await log_in(client)) == DONE


async def test_log_in_overtaken_by_a_disabling_creates_no_session(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = client.worker.passwords
    verify = passwords.verify

    async def verify_and_disable(stored: str, password: str, **options: Any) -> bool:
        is_correct = await verify(stored, password, **options)
        await on(client.database_url, lambda db: users.disable(db, "client@example.com"))
        return is_correct

    monkeypatch.setattr(passwords, "verify", verify_and_disable)
    assert outcome(await log_in(client)) == (400, "invalid-password")
    live = "select from gateway.sessions where user_id = 2 and revoked_at is null"
    assert await execute(client.database_url, live) == []


# Preferences


async def test_preference_remember_me_applies_to_all_sessions_of_the_user(client: Client) -> None:
    first, second = await new_token(client), await new_token(client)
    answer = await put(client, PREFERENCES, {"token": first, "remember_me": True})
    session = answer.json()["data"]["session"]
    assert (session["remember_me"], session["expires_at"]) == (True, None)
    assert session["token"] == first
    async with asyncio.timeout(5):
        while True:
            read = await client.post(READ, {"token": second})
            if read.json()["data"]["session"]["remember_me"]:
                break
    answer = await put(client, PREFERENCES, {"token": second, "remember_me": False})
    assert answer.json()["data"]["session"]["expires_at"] is not None


@pytest.mark.parametrize(
    ("params", "slug", "attr"),
    [
        ({}, "missing-param", "remember_me"),
        ({"remember_me": "yes"}, "invalid-param", "remember_me"),
        ({"remember_me": True, "view": "everything"}, "invalid-param", "view"),
    ],
)
async def test_preference_that_is_refused_changes_nothing(
    client: Client, params: dict[str, Any], slug: str, attr: str
) -> None:
    answer = await put(client, PREFERENCES, {"token": client.tokens["client"], **params})
    assert outcome(answer) == (400, slug)
    assert [error["attr"] for error in answer.json()["errors"]] == [attr]
    assert not await execute(client.database_url, "select from gateway.users where remember_me")


async def test_preference_is_for_sessions_and_needs_no_role(client: Client) -> None:
    params = {"remember_me": True}
    user = await put(client, PREFERENCES, {"token": client.tokens["nobody"], **params})
    assert outcome(user) == DONE
    machine = await put(client, PREFERENCES, {"token": client.tokens["application"], **params})
    assert outcome(machine) == (400, "session-required")


async def test_preference_does_not_revive_a_session_that_is_over(client: Client) -> None:
    old, new = await new_token(client), await new_token(client)
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '8 days' where token_hash = $1",
        tokens.digest(old),
    )
    expired = (401, "session-expired")
    for remember_me in (True, False, True):
        params = {"token": new, "remember_me": remember_me}
        assert outcome(await put(client, PREFERENCES, params)) == DONE
        await wait_until_remembered(client, new, remember_me=remember_me)
        assert outcome(await client.post(READ, {"token": old})) == expired
        listed = (await client.post(LIST, {"token": new, "count": True})).json()["data"]
        assert listed["count"] == len(listed["sessions"]) == 2
    shoplo = await client.request(
        "GET", "/services/statuses", headers={"authorization": f"Bearer {old}"}
    )
    assert (shoplo.status_code, shoplo.json()["error"]) == (401, "251")


async def test_preference_set_by_hand_does_not_revive_a_session_that_is_over(
    client: Client,
) -> None:
    token = await new_token(client)
    for change in (
        "update gateway.sessions set last_used_at = now() - interval '73 hours' where user_id = 2",
        "update gateway.users set remember_me = true where id = 2",
    ):
        await execute(client.database_url, change)
    await wait_for(client, token, (401, "session-expired"))
    user = await on(client.database_url, lambda db: users.show(db, "client@example.com"))
    assert (user["remember_me"], user["sessions"]) == (True, 0)


async def wait_until_remembered(client: Client, token: str, *, remember_me: bool) -> None:
    """Wait until the worker knows the user's new preference."""
    async with asyncio.timeout(5):
        while True:
            answer = await client.post(READ, {"token": token})
            if answer.json()["data"]["session"]["remember_me"] is remember_me:
                return


async def test_preference_at_log_in_is_ignored_and_named(client: Client) -> None:
    answer = await log_in(client, remember_me=True)
    assert answer.json()["data"]["session"]["remember_me"] is False
    assert answer.headers["x-ignored-params"] == "remember_me"


# Sessions


async def insert_sessions(client: Client, count: int) -> None:
    """Sessions of the demo's client, used one minute after the other, the first one last."""
    await execute(
        client.database_url,
        "insert into gateway.sessions (user_id, application_id, token_hash, last_used_at) "
        "select 2, min(a.id), sha256(n::text::bytea), now() - make_interval(mins => n) "
        "from gateway.applications a, generate_series(1, $1) n group by n",
        count,
    )


async def test_sessions_are_listed_in_pages_with_the_calling_one_first(client: Client) -> None:
    await insert_sessions(client, 59)

    async def page(**params: Any) -> dict[str, Any]:
        answer = await client.post(LIST, {"token": client.tokens["client"], **params})
        assert outcome(answer) == DONE
        data: dict[str, Any] = answer.json()["data"]
        return data

    first = await page()
    assert list(first) == ["sessions"]
    assert [session["current"] for session in first["sessions"]] == [True] + [False] * 49
    second = await page(page={"number": 2}, count=True)
    assert (len(second["sessions"]), second["count"]) == (10, 60)
    listed = [*first["sessions"], *second["sessions"]]
    assert len({session["id"] for session in listed}) == 60
    uses = [session["last_used_at"] for session in listed]
    assert uses == sorted(uses, reverse=True)
    third = await page(page={"size": 7, "number": 3})
    assert third["sessions"] == listed[14:21]
    for number in (2**31, 2**63 - 1):
        assert await page(page={"number": number}) == {"sessions": []}


@pytest.mark.parametrize("page", [{"size": 0}, {"size": 251}, {"number": 0}, {"number": 2**63}])
async def test_sessions_page_out_of_range_is_refused(client: Client, page: dict[str, int]) -> None:
    answer = await client.post(LIST, {"token": client.tokens["client"], "page": page})
    assert outcome(answer) == (400, "invalid-param")
    assert [error["attr"] for error in answer.json()["errors"]] == [f"page.{next(iter(page))}"]


async def test_sessions_that_are_over_are_neither_listed_nor_counted(client: Client) -> None:
    await insert_sessions(client, 3)
    idle = "update gateway.sessions set last_used_at = now() - interval '73 hours' where id in (%s)"
    newest = "select id from gateway.sessions order by id desc limit 2"
    await execute(client.database_url, idle % newest)
    answer = await client.post(LIST, {"token": client.tokens["client"], "count": True})
    assert answer.json()["data"]["count"] == len(answer.json()["data"]["sessions"]) == 2


async def test_session_above_the_maximum_ends_the_one_unused_longest(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, max_sessions_per_user="3") as client:
        first, second, third = [await new_token(client) for _ in range(3)]
        # The demo's session is the oldest of the four.
        await wait_for(client, tokens["client"], (401, "invalid-token"))
        await execute(
            database,
            "update gateway.sessions set last_used_at = now() + interval '1 minute' "
            "where token_hash = sha256($1::bytea)",
            first.encode(),
        )
        fourth = await new_token(client)
        await wait_for(client, second, (401, "invalid-token"))
        for token in (first, third, fourth):
            assert outcome(await client.post(READ, {"token": token})) == DONE
        assert outcome(await client.post(READ, {"token": tokens["employee"]})) == DONE


SWEPT = {
    "logged out": ("revoked_at = now() - interval '31 days'", True),
    "logged out lately": ("revoked_at = now() - interval '29 days'", False),
    "idle": ("last_used_at = now() - interval '34 days'", True),
    "idle lately": (
        "last_used_at = now() - interval '32 days', created_at = now() - interval '36 days'",
        False,
    ),
}


@pytest.mark.parametrize(("change", "swept"), SWEPT.values(), ids=SWEPT)
async def test_session_that_ended_a_month_ago_is_swept(
    client: Client, change: str, *, swept: bool
) -> None:
    await insert_sessions(client, 1)
    # First, since the worker sweeps at any time too.
    before = await execute(client.database_url, "select id from gateway.sessions")
    newest = "id = (select max(id) from gateway.sessions)"
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '36 days', "
        f"last_used_at = now() - interval '30 days' where {newest}",
    )
    if "created_at" not in change:
        await execute(client.database_url, f"update gateway.sessions set {change} where {newest}")
    await old_sessions.sweep(Database.within(client.worker.pool, 5))
    after = await execute(client.database_url, "select id from gateway.sessions")
    assert len(before) - len(after) == int(swept)


async def test_session_of_a_remembered_user_is_not_swept(client: Client) -> None:
    # First, since the worker sweeps at any time too.
    await execute(
        client.database_url,
        "update gateway.users set remember_me = true, remember_since = now() - interval '2 years' "
        "where id = 2",
    )
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '1 year', "
        "last_used_at = now() - interval '1 year'",
    )
    await old_sessions.sweep(Database.within(client.worker.pool, 5))
    rows = await execute(client.database_url, "select user_id from gateway.sessions")
    assert [row["user_id"] for row in rows] == [2]
