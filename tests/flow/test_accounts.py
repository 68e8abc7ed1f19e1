"""Users as commands leave them, and what they set themselves: preferences, sessions, passwords."""

import asyncio
import base64
import io
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import orjson
import pytest
from support.harness import Client, execute, on, serving
from support.mail import MailSetup, messages, notifications, wait_for_rows, wait_until_sent
from support.mandrill import running_stand_in

from gateway.database.handle import Database
from gateway.dev.demo import PASSWORD
from gateway.dev.mandrill import StandIn
from gateway.identity import old_sessions, resets, tokens, users
from gateway.identity.limits import RESETS_OF_ACCOUNT

LOG_IN = "/api/v1/sessions/create"
READ, LIST = "/api/v1/sessions/read", "/api/v1/sessions/index"
PREFERENCES = "/api/v1/users/update_preferences"
RESET, CONFIRM = "/api/v1/users/reset_password", "/api/v1/users/confirm_reset"
NEW_PASSWORD = "another password"
DONE = (200, "action-successful")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[StandIn, str]]:
    with running_stand_in() as made:
        yield made


@pytest.fixture
def setup(
    database: str,
    tokens: dict[str, str],
    served: tuple[StandIn, str],
    monkeypatch: pytest.MonkeyPatch,
) -> MailSetup:
    return MailSetup.with_fast_polling(monkeypatch, database, tokens, *served)


@pytest.fixture
async def mailing(setup: MailSetup) -> AsyncIterator[Client]:
    """A client of a worker that sends its mail to the stand-in."""
    async with setup.serving() as client:
        yield client


def outcome(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["status"]


async def secret(client: Client, path: str, **params: Any) -> httpx2.Response:
    """Call a sensitive route."""
    content = base64.b64encode(orjson.dumps(params))
    return await client.request("POST", path, content=content)


async def log_in(
    client: Client, email: str = "client@example.com", password: str = PASSWORD, **params: Any
) -> httpx2.Response:
    params = {"email": email, "password": password, "application": "planoorder", **params}
    return await secret(client, LOG_IN, **params)


async def new_token(client: Client, email: str = "client@example.com") -> str:
    answer = await log_in(client, email)
    assert outcome(answer) == DONE
    token: str = answer.json()["data"]["session"]["token"]
    return token


async def wait_for(client: Client, token: str, expected: tuple[int, str]) -> None:
    """Wait until a session is answered like this."""
    async with asyncio.timeout(5):
        while outcome(await client.post(READ, {"token": token})) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


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

    async def verify_and_disable(stored: str, password: str) -> bool:
        is_correct = await verify(stored, password)
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
    nobody = await put(client, PREFERENCES, {"token": client.tokens["nobody"], **params})
    assert outcome(nobody) == DONE
    machine = await put(client, PREFERENCES, {"token": client.tokens["application"], **params})
    assert outcome(machine) == (400, "session-required")


async def test_preference_does_not_revive_a_session_that_is_over(client: Client) -> None:
    old, new = await new_token(client), await new_token(client)
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '8 days' where token_hash = $1",
        tokens.digest(old),
    )
    assert outcome(await put(client, PREFERENCES, {"token": new, "remember_me": True})) == DONE
    await wait_for(client, old, (401, "invalid-token"))


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
    assert await page(page={"number": 2**31 - 1}) == {"sessions": []}


@pytest.mark.parametrize("page", [{"size": 0}, {"size": 251}, {"number": 0}, {"number": 2**31}])
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
    newest = "id = (select max(id) from gateway.sessions)"
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '36 days', "
        f"last_used_at = now() - interval '30 days' where {newest}",
    )
    if "created_at" not in change:
        await execute(client.database_url, f"update gateway.sessions set {change} where {newest}")
    before = await execute(client.database_url, "select id from gateway.sessions")
    await old_sessions.sweep(Database.within(client.worker.pool, 5))
    after = await execute(client.database_url, "select id from gateway.sessions")
    assert len(before) - len(after) == int(swept)


async def test_session_of_a_remembered_user_is_not_swept(client: Client) -> None:
    await execute(
        client.database_url,
        "update gateway.sessions set created_at = now() - interval '1 year', "
        "last_used_at = now() - interval '1 year'",
    )
    await execute(client.database_url, "update gateway.users set remember_me = true where id = 2")
    await old_sessions.sweep(Database.within(client.worker.pool, 5))
    rows = await execute(client.database_url, "select user_id from gateway.sessions")
    assert [row["user_id"] for row in rows] == [2]


# Passwords that are reset by mail


async def link(setup: MailSetup, email: str = "client@example.com") -> str:
    """The link of the newest mail."""
    [received] = [
        mail for mail in list(setup.stand_in.received)[:1] if mail.template == "password-reset"
    ]
    assert received.message["to"][0]["email"] == email
    merge = {entry["name"]: entry["content"] for entry in received.message["global_merge_vars"]}
    assert merge["first_name"] == "Ben"
    url: str = merge["reset_url"]
    return url


async def mailed_token(client: Client, setup: MailSetup) -> str:
    """Request a link, wait for the mail, and return the link's token."""
    setup.stand_in.received.clear()
    answer = await secret(client, RESET, email="Client@example.com")
    assert (outcome(answer), answer.json().get("data")) == (DONE, {})
    await wait_until_sent(client.database_url)
    url = await link(setup)
    [token] = re.fullmatch(
        r"https://plano\.example/new-password\?token=(plano_rst_[\w-]{43})", url
    ).groups()  # type: ignore[union-attr]
    return token


async def test_reset_link_sets_a_password_once_and_ends_all_sessions(
    mailing: Client, setup: MailSetup
) -> None:
    session = await new_token(mailing)
    other_link = await mailed_token(mailing, setup)
    token = await mailed_token(mailing, setup)
    answer = await secret(mailing, CONFIRM, reset_token=token, password=NEW_PASSWORD)
    assert (outcome(answer), answer.json()["data"]) == (DONE, {"ended": 2})
    await wait_for(mailing, session, (401, "invalid-token"))
    assert outcome(await log_in(mailing)) == (400, "invalid-password")
    assert outcome(await log_in(mailing, password=NEW_PASSWORD)) == DONE
    for used in (token, other_link):
        answer = await secret(mailing, CONFIRM, reset_token=used, password=PASSWORD)
        assert outcome(answer) == (400, "invalid-reset-token")


async def test_reset_token_is_in_the_mail_alone(
    mailing: Client,
    setup: MailSetup,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(mailing.worker.access, "_out", out)
    token = await mailed_token(mailing, setup)
    [row] = await execute(mailing.database_url, "select * from gateway.password_resets")
    assert row["token_hash"] == tokens.digest(token)
    [message] = await messages(mailing.database_url)
    assert message["payload"]["merge"]["reset_url"].endswith("?token={token}")
    tables = await execute(
        mailing.database_url,
        "select format('select t::text from %I.%I t', schemaname, tablename) as query "
        "from pg_tables where schemaname in ('gateway', 'public')",
    )
    for table in tables:
        for stored in await execute(mailing.database_url, table["query"]):
            assert token not in stored[0]
    assert outcome(await secret(mailing, CONFIRM, reset_token=token, password=NEW_PASSWORD)) == DONE
    mailing.worker.access.flush()
    printed = out.getvalue() + str([vars(record) for record in caplog.records])
    assert "confirm_reset" in printed
    assert token not in printed
    assert "client@example.com" not in printed.lower()


@pytest.mark.parametrize(
    "change",
    [
        "update gateway.password_resets set expires_at = now() - interval '1 second'",
        "update gateway.users set disabled_at = now() where id = 2",
        "update gateway.users set password_hash = password_hash || ' ' where id = 2",
    ],
    ids=["expired", "user disabled", "password changed"],
)
async def test_reset_link_that_is_not_valid_any_more_is_refused(
    mailing: Client, setup: MailSetup, change: str
) -> None:
    token = await mailed_token(mailing, setup)
    await execute(mailing.database_url, change)
    answer = await secret(mailing, CONFIRM, reset_token=token, password=NEW_PASSWORD)
    assert outcome(answer) == (400, "invalid-reset-token")


async def test_reset_link_expires_after_an_hour_and_is_swept(
    mailing: Client, setup: MailSetup
) -> None:
    await mailed_token(mailing, setup)
    seconds = "select extract(epoch from expires_at - now())::float as left from %s"
    [row] = await execute(mailing.database_url, seconds % "gateway.password_resets")
    assert 3500 < row["left"] <= resets.LIFETIME
    await resets.sweep(Database.within(mailing.worker.pool, 5))
    assert len(await execute(mailing.database_url, "select from gateway.password_resets")) == 1
    await execute(mailing.database_url, "update gateway.password_resets set expires_at = now()")
    await resets.sweep(Database.within(mailing.worker.pool, 5))
    assert await execute(mailing.database_url, "select from gateway.password_resets") == []


async def test_reset_link_used_twice_at_the_same_time_works_once(
    mailing: Client, setup: MailSetup
) -> None:
    links = [await mailed_token(mailing, setup), await mailed_token(mailing, setup)]
    calls = [
        secret(mailing, CONFIRM, reset_token=token, password=f"{NEW_PASSWORD} {turn}")
        for turn, token in enumerate(links * 3)
    ]
    answers = [outcome(answer) for answer in await asyncio.gather(*calls)]
    assert sorted(answers) == [DONE] + [(400, "invalid-reset-token")] * 5


async def test_reset_of_an_address_without_a_user_is_answered_alike(
    mailing: Client, setup: MailSetup
) -> None:
    await on(mailing.database_url, lambda db: users.disable(db, "liaison@example.com"))
    answers = [
        await secret(mailing, RESET, email=email)
        for email in ("client@example.com", "who@example.com", "liaison@example.com")
    ]
    known, *others = [
        {**answer.json(), "request_id": None} | {"headers": sorted(answer.headers)}
        for answer in answers
    ]
    assert others == [known, known]
    await wait_until_sent(mailing.database_url)
    assert [mail.message["to"][0]["email"] for mail in setup.stand_in.received] == [
        "client@example.com"
    ]
    rows = await messages(mailing.database_url)
    assert [row["state"] for row in rows] == ["sent", "discarded", "discarded"]
    assert "who@example.com" not in str(rows)


async def test_reset_does_not_wait_for_the_mail(mailing: Client, setup: MailSetup) -> None:
    await execute(
        mailing.database_url, "update gateway.users set email = 'payment@example.com' where id = 2"
    )
    assert outcome(await secret(mailing, RESET, email="payment@example.com")) == DONE
    parked = "select from gateway.outbox where state = 'parked'"
    await wait_for_rows(mailing.database_url, parked, 1)
    [notification] = await notifications(mailing.database_url)
    assert notification["kind"] == "mandrill-email-failed"
    assert setup.stand_in.received


async def test_reset_of_a_user_disabled_before_the_mail_was_sent_sends_none(
    client: Client, setup: MailSetup
) -> None:
    assert outcome(await secret(client, RESET, email="client@example.com")) == DONE
    url = client.database_url
    await execute(url, "update gateway.users set disabled_at = now() where id = 2")
    await execute(url, "update gateway.outbox set state = 'waiting', next_at = now()")
    refused = "select from gateway.outbox where last_error = 'user disabled'"
    await wait_for_rows(url, refused, 1)
    assert list(setup.stand_in.received) == []


async def test_reset_requests_of_an_account_are_limited_whether_it_exists_or_not(
    client: Client,
) -> None:
    for email in ("client@example.com", "who@example.com"):
        for _ in range(RESETS_OF_ACCOUNT.calls):
            assert outcome(await secret(client, RESET, email=email)) == DONE
        answer = await secret(client, RESET, email=email.upper())
        assert outcome(answer) == (429, "rate-limit-exceeded")
    assert outcome(await secret(client, RESET, email="employee@example.com")) == DONE


async def test_reset_tokens_that_are_guessed_are_limited(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, unknown_callers="2") as client:
        params = {"reset_token": "plano_rst_guess", "password": NEW_PASSWORD}
        answers = [outcome(await secret(client, CONFIRM, **params)) for _ in range(3)]
    assert answers == [(400, "invalid-reset-token")] * 2 + [(429, "rate-limit-exceeded")]


async def test_reset_without_a_page_for_the_link_is_service_not_found(client: Client) -> None:
    await execute(
        client.database_url,
        "update gateway.services set record = record || '{\"settings\": {}}' where name = 'users'",
    )
    async with serving(client.database_url, client.tokens) as restarted:
        answer = await secret(restarted, RESET, email="client@example.com")
    assert outcome(answer) == (500, "service-not-found")
    assert await messages(client.database_url) == []


@pytest.mark.parametrize("password", ["short", " " * 8])
async def test_reset_with_an_unsuitable_password_keeps_the_link(
    mailing: Client, setup: MailSetup, password: str
) -> None:
    token = await mailed_token(mailing, setup)
    answer = await secret(mailing, CONFIRM, reset_token=token, password=password)
    assert outcome(answer) == (400, "invalid-param")
    answer = await secret(mailing, CONFIRM, reset_token=token, password=NEW_PASSWORD)
    assert outcome(answer) == DONE
