"""Passwords that are reset by a mailed link."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.accounts import DONE, log_in, new_token, outcome, secret, wait_for
from support.harness import Client, execute, on, serving
from support.mail import MailSetup, messages, notifications, wait_for_rows, wait_until_sent

from gateway.database.handle import Database
from gateway.dev.demo import PASSWORD
from gateway.identity import resets, tokens, users
from gateway.identity.limits import RESETS_OF_ACCOUNT
from gateway.identity.users import Rights

RESET, CONFIRM = "/api/v1/users/reset_password", "/api/v1/users/confirm_reset"
NEW_PASSWORD = "another password"
INVALID = (400, "invalid-reset-token")


@pytest.fixture
async def mailing(setup: MailSetup) -> AsyncIterator[Client]:
    """A client of a worker that sends its mail to the stand-in."""
    async with setup.serving() as client:
        yield client


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
        assert outcome(answer) == INVALID


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
    assert outcome(answer) == INVALID


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
    assert sorted(answers) == [DONE] + [INVALID] * 5


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
    assert answers == [INVALID] * 2 + [(429, "rate-limit-exceeded")]


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


async def test_reset_link_of_an_operator_gives_a_new_user_a_password(
    mailing: Client, setup: MailSetup
) -> None:
    email = "new@example.com"

    async def create_and_mail(db: Any) -> None:
        await users.create(db, email, "Ben", "New", Rights(["client"]))
        await users.mail_link(db, email)

    assert outcome(await log_in(mailing, email)) == (400, "email-not-found")
    await on(mailing.database_url, create_and_mail)
    assert outcome(await log_in(mailing, email)) == (400, "user-has-no-password")
    await wait_until_sent(mailing.database_url)
    token = (await link(setup, email)).partition("token=")[2]
    answer = await secret(mailing, CONFIRM, reset_token=token, password=NEW_PASSWORD)
    assert outcome(answer) == DONE
    assert outcome(await log_in(mailing, email, NEW_PASSWORD)) == DONE


async def test_reset_of_an_address_that_cannot_be_folded_mails_no_one(mailing: Client) -> None:
    for email in (
        "cl\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}ent@example.com",
        "Client@EXAMPLE.com",
    ):
        assert outcome(await secret(mailing, RESET, email=email)) == DONE
    query = "select payload ->> 'email' as email from gateway.outbox order by id"
    rows = await execute(mailing.database_url, query)
    assert [row["email"] for row in rows] == [None, "client@example.com"]
