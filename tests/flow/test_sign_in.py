"""Signing in through the API: from the registration to the end of the last session."""

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest
from support.harness import Client, execute, serving

from gateway.dev.demo import PASSWORD
from gateway.identity import tokens

REGISTER, LOG_IN = "/api/v1/clients/register", "/api/v1/sessions/create"
BECOME_CLIENT, NEW_PASSWORD = "/api/v1/users/client_register", "/api/v1/users/update_password"
READ, LIST, LOG_OUT = (f"/api/v1/sessions/{name}" for name in ("read", "index", "delete"))
PERSON = {
    "email": "Eve.Park@Example.com",
    "password": "correct horse",
    "first_name": "Eve",
    "last_name": "Park",
}


class Caller:
    """Calls the identity routes like an app, with the token that it got last."""

    def __init__(self, client: Client, token: str | None = None) -> None:
        self.client = client
        self.token = token

    async def call(
        self, path: str, params: object = None, *, method: str = "POST", secret: bool = False
    ) -> httpx2.Response:
        headers = {"content-type": "text/plain" if secret else "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        body = orjson.dumps({} if params is None else params)
        content = base64.b64encode(body) if secret else body
        return await self.client.request(method, path, content=content, headers=headers)

    async def register(self, *, application: str = "planoorder", **params: Any) -> httpx2.Response:
        all_params = {"application": application, "client": PERSON, **params}
        return await self.call(REGISTER, all_params, secret=True)

    async def log_in(
        self, email: str = "employee@example.com", password: str = PASSWORD, **params: Any
    ) -> httpx2.Response:
        credentials = {"email": email, "password": password, "application": "planoorder"}
        return await self.call(LOG_IN, {**credentials, **params}, secret=True)

    async def signed_in(self, *args: str, **params: Any) -> "Caller":
        """Another caller with a new session; the log-in ends no other session."""
        answer = (await Caller(self.client).log_in(*args, **params)).json()
        assert answer["status"] == "action-successful"
        return Caller(self.client, answer["data"]["session"]["token"])

    async def read(self) -> httpx2.Response:
        return await self.call(READ)

    async def sessions(self) -> list[dict[str, Any]]:
        answer = await self.call(LIST)
        sessions: list[dict[str, Any]] = answer.json()["data"]["sessions"]
        return sessions

    async def log_out(self, **params: Any) -> httpx2.Response:
        return await self.call(LOG_OUT, params, method="DELETE")

    async def change_password(self, old: str, new: str) -> httpx2.Response:
        params = {"password": old, "new_password": new}
        return await self.call(NEW_PASSWORD, params, method="PUT", secret=True)


@pytest.fixture
def app(client: Client) -> Caller:
    return Caller(client)


def outcome(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["status"]


DONE = (200, "action-successful")
ENDED = (401, "invalid-token")


def refused(slug: str) -> tuple[int, str]:
    return 400, slug


async def wait_until_ended(caller: Caller, seconds: float = 5) -> None:
    """Wait until the caller's session has ended."""
    deadline = asyncio.get_running_loop().time() + seconds
    while outcome(await caller.read()) != ENDED:
        assert asyncio.get_running_loop().time() < deadline, "the session did not end in time"
        await asyncio.sleep(0.01)


async def rows(client: Client) -> list[int]:
    """The numbers of users, clients and sessions."""
    tables = ("users", "clients", "sessions")
    return [len(await execute(client.database_url, f"select from {name}")) for name in tables]


async def test_client_registers_calls_and_logs_out(client: Client, app: Caller) -> None:
    answer = (await app.register()).json()
    record, session = answer["data"]["client"], answer["data"]["session"]
    assert (record["name"], record["user_id"]) == ("Eve Park", session["user_id"])
    assert (session["email"], session["roles"]) == ("Eve.Park@Example.com", ["client"])
    app.token = session["token"]
    assert outcome(await app.read()) == DONE
    again = await app.signed_in("eve.park@EXAMPLE.com", "correct horse")
    assert (await again.read()).json()["data"]["session"]["user_id"] == session["user_id"]
    headers = {"authorization": f"Bearer {app.token}"}
    assert (await client.request("GET", "/services/statuses", headers=headers)).is_success

    assert (await again.log_out()).json()["data"] == {"ended": 1}
    await wait_until_ended(again)
    assert outcome(await app.read()) == DONE


async def test_user_without_a_role_becomes_a_client_and_may_call_at_once(
    client: Client, app: Caller
) -> None:
    answer = await app.log_in("nobody@example.com")
    assert outcome(answer) == (401, "client-required")
    session = answer.json()["session"]
    assert (session["email"], session["roles"]) == ("nobody@example.com", [])
    app.token = session["token"]
    headers = {"authorization": f"Bearer {app.token}"}
    refusal = await client.request("GET", "/services/statuses", headers=headers)
    assert (refusal.status_code, refusal.json()["error"]) == (401, "202")
    answer = await app.call(BECOME_CLIENT, {"client": {"phone": "1 801 555"}, "enterprise": True})
    assert outcome(answer) == DONE
    data = answer.json()["data"]
    assert (data["client"]["name"], data["client"]["enterprise"]) == ("Dan Reed", True)
    assert (data["session"]["roles"], data["session"]["token"]) == (["client"], app.token)
    assert (await client.request("GET", "/services/statuses", headers=headers)).is_success
    assert (await app.signed_in("nobody@example.com")).token != app.token

    answer = await app.call(BECOME_CLIENT, {})
    assert outcome(answer) == refused("client-validation-failed")


WRONG_LOG_INS = [
    ({"email": "nobody.at.all@example.com"}, "email-not-found", None),
    ({"password": "wrong-password"}, "invalid-password", None),
    ({"email": "client@example.com", "application": "planox2"}, "user-requires-role", None),
    ({"application": "planox9"}, "invalid-param", ["application"]),
    ({"view": "everything"}, "invalid-param", ["view"]),
    ({"view": "everything", "password": "wrong-password"}, "invalid-param", ["view"]),
    ({"email": 7}, "invalid-param", ["email"]),
    ({"password": "x" * 256}, "invalid-param", ["password"]),
]


@pytest.mark.parametrize(("params", "slug", "attrs"), WRONG_LOG_INS)
async def test_log_in_that_is_refused_creates_no_session(
    client: Client, app: Caller, params: dict[str, Any], slug: str, attrs: list[str] | None
) -> None:
    before = await rows(client)
    answer = await app.log_in(**params)
    assert outcome(answer) == refused(slug)
    assert attrs == ([e["attr"] for e in answer.json().get("errors", ())] or None)
    assert "session" not in answer.json()
    assert await rows(client) == before


async def test_log_in_of_a_user_without_a_password_is_refused(client: Client, app: Caller) -> None:
    await execute(client.database_url, "update gateway.users set password_hash = null where id = 1")
    app.token = client.tokens["employee"]
    assert outcome(await app.log_in()) == refused("user-has-no-password")
    answer = await app.change_password(PASSWORD, "another password")
    assert outcome(answer) == refused("user-has-no-password")


WRONG_CLIENTS = [
    ({}, ["email: missing", "password: missing", "first_name: missing", "last_name: missing"]),
    ({**PERSON, "email": "", "last_name": " "}, ["email: missing", "last_name: missing"]),
    ({**PERSON, "email": "eve"}, ["email: is not a valid e-mail address"]),
    ({**PERSON, "email": "eve@example"}, ["email: is not a valid e-mail address"]),
    ({**PERSON, "password": "1234567"}, ["password: must have at least 8 characters"]),
    ({**PERSON, "password": " " * 8}, ["password: must not be blank"]),
    ({**PERSON, "password": " "}, ["password: must not be blank"]),
    ({**PERSON, "password": ""}, ["password: missing"]),
]


@pytest.mark.parametrize(("given", "errors"), WRONG_CLIENTS)
async def test_registration_reports_every_error_of_the_client_at_once(
    client: Client, app: Caller, given: dict[str, Any], errors: list[str]
) -> None:
    before = await rows(client)
    answer = await app.register(client=given)
    assert outcome(answer) == refused("client-validation-failed")
    found = [f"{error['attr']}: {error['message']}" for error in answer.json()["errors"]]
    assert [text for text in found if text] == [f"client.{error}" for error in errors] or sorted(
        found
    ) == sorted(f"client.{error}" for error in errors)
    assert await rows(client) == before


REFUSED_REGISTRATIONS = [
    ({"application": "planox9"}, "invalid-param", "application"),
    ({"view": "everything"}, "invalid-param", "view"),
    ({"client": {**PERSON, "company_id": 4711}}, "invalid-param", "client.company_id"),
    ({"client": {**PERSON, "email": "CLIENT@example.com"}}, "email-already-registered", None),
    ({"client": {**PERSON, "email": 7}}, "invalid-param", "client.email"),
]


@pytest.mark.parametrize(("params", "slug", "attr"), REFUSED_REGISTRATIONS)
async def test_registration_that_is_refused_writes_nothing(
    client: Client, app: Caller, params: dict[str, Any], slug: str, attr: str | None
) -> None:
    before = await rows(client)
    answer = await app.register(**params)
    assert outcome(answer) == refused(slug)
    assert [error["attr"] for error in answer.json().get("errors", ())] == ([attr] if attr else [])
    assert await rows(client) == before


@pytest.mark.parametrize("name", ["first_name", "last_name", "phone", "company_name"])
@pytest.mark.parametrize("text", ["\x1b[31mRED", "a\nb", "a\u009bb", "a\u202eb"], ids=ascii)
async def test_registration_refuses_control_characters_in_names(
    client: Client, app: Caller, name: str, text: str
) -> None:
    before = await rows(client)
    answer = await app.register(client={**PERSON, name: text})
    assert outcome(answer) == refused("invalid-param")
    message = "must not contain control characters"
    assert answer.json()["errors"] == [{"attr": f"client.{name}", "message": message}]
    assert await rows(client) == before
    assert text not in answer.text


@pytest.mark.parametrize("name", ["phone", "company_name"])
async def test_client_register_refuses_control_characters_in_names(
    client: Client, app: Caller, name: str
) -> None:
    app.token = client.tokens["nobody"]
    answer = await app.call(BECOME_CLIENT, {"client": {name: "\x1b[31mRED"}})
    assert outcome(answer) == refused("invalid-param")
    message = "must not contain control characters"
    assert answer.json()["errors"] == [{"attr": f"client.{name}", "message": message}]


async def test_client_register_with_an_unknown_company_is_refused(
    client: Client, app: Caller
) -> None:
    app.token = client.tokens["nobody"]
    before = await rows(client)
    answer = await app.call(BECOME_CLIENT, {"client": {"company_id": 4711}})
    assert outcome(answer) == refused("invalid-param")
    assert [error["attr"] for error in answer.json()["errors"]] == ["client.company_id"]
    assert await rows(client) == before


async def test_registrations_of_one_email_at_the_same_time_create_one_user(
    client: Client, app: Caller
) -> None:
    before = await rows(client)
    spellings = ("eve@example.com", "EVE@example.com", "Eve@Example.COM")
    calls = [
        app.register(
            client={**PERSON, "email": spellings[turn % 3], "password": f"password {turn}"}
        )
        for turn in range(12)
    ]
    answers = await asyncio.gather(*calls)
    successful = [turn for turn, answer in enumerate(answers) if outcome(answer) == DONE]
    assert len(successful) == 1
    others = {outcome(answer) for answer in answers if outcome(answer) != DONE}
    assert others == {refused("email-already-registered")}
    assert await rows(client) == [count + 1 for count in before]
    assert outcome(await app.log_in("eve@example.com", f"password {successful[0]}")) == DONE


async def test_log_in_ignores_white_space_at_the_ends_of_the_address(
    client: Client, app: Caller
) -> None:
    assert outcome(await app.log_in(" employee@example.com\n")) == DONE
    email = {"email": " Employee@example.com "}
    assert outcome(await app.call("/api/v1/users/reset_password", email, secret=True)) == DONE
    [row] = await execute(client.database_url, "select payload, state from gateway.outbox")
    assert row["payload"]["email"] == "employee@example.com"


async def test_log_in_ends_the_session_that_it_is_sent_with(app: Caller) -> None:
    old = await app.signed_in()
    new = Caller(app.client, (await old.log_in()).json()["data"]["session"]["token"])
    await wait_until_ended(old)
    assert outcome(await new.read()) == DONE


@pytest.mark.parametrize("caller", ["client", "nobody", "application"])
async def test_log_in_does_not_end_a_session_of_another_user(client: Client, caller: str) -> None:
    other = Caller(client, client.tokens[caller])
    assert outcome(await other.log_in()) == DONE
    assert outcome(await other.register()) == DONE
    ended = "select from gateway.sessions where revoked_at is not null"
    assert not await execute(client.database_url, ended)


async def test_password_change_ends_only_the_other_sessions_of_the_user(app: Caller) -> None:
    first, second, third = [await app.signed_in("client@example.com") for _ in range(3)]
    other_user = await app.signed_in()
    wrong = await first.change_password("wrong-password", "another password")
    assert outcome(wrong) == refused("invalid-password")
    assert outcome(await first.change_password(PASSWORD, "short")) == refused("invalid-param")
    assert outcome(await second.read()) == DONE

    answer = await first.change_password(PASSWORD, "another password")
    # The demo has a session of this user too.
    assert answer.json()["data"] == {"ended": 3}
    await asyncio.gather(wait_until_ended(second), wait_until_ended(third))
    assert outcome(await first.read()) == outcome(await other_user.read()) == DONE
    assert outcome(await app.log_in("client@example.com")) == refused("invalid-password")
    assert outcome(await app.log_in("client@example.com", "another password")) == DONE


async def test_new_password_of_spaces_is_refused_in_words(app: Caller) -> None:
    caller = await app.signed_in()
    confirm = {"reset_token": "x", "password": " " * 8}
    answers = {
        "new_password": await caller.change_password(PASSWORD, " " * 8),
        "password": await app.call("/api/v1/users/confirm_reset", confirm, secret=True),
    }
    for attr, answer in answers.items():
        assert outcome(answer) == refused("invalid-param")
        assert answer.json()["errors"] == [{"attr": attr, "message": "must not be blank"}]


async def test_log_in_overtaken_by_a_password_change_creates_no_session(
    client: Client, app: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = await app.signed_in()
    passwords = client.worker.passwords
    verify = passwords.verify

    async def verify_and_change(stored: str, password: str, **options: Any) -> bool:
        monkeypatch.setattr(passwords, "verify", verify)
        is_correct = await verify(stored, password, **options)
        assert outcome(await signed_in.change_password(PASSWORD, "another password")) == DONE
        return is_correct

    monkeypatch.setattr(passwords, "verify", verify_and_change)
    assert outcome(await app.log_in()) == refused("invalid-password")
    assert len(await signed_in.sessions()) == 1


async def test_session_list_shows_use_and_address_but_no_token(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, trusted_proxies="127.0.0.1") as client:
        client._http.headers["x-forwarded-for"] = "2001:db8::7"
        first = await Caller(client).signed_in("client@example.com")
        second = await first.signed_in("client@example.com", application="planoauth")
        query = (
            "update gateway.sessions set last_used_at = now() - interval '1 hour' "
            "where address is null"
        )
        await execute(database, query)
        answer = await first.call(LIST)
    for secret in (*tokens.values(), first.token, second.token):
        assert secret
        assert secret not in answer.text
    listed = answer.json()["data"]["sessions"]
    assert {(row["application"], row["address"], row["current"]) for row in listed} == {
        ("planoauth", "2001:db8::7", False),
        ("planoorder", "2001:db8::7", True),
        ("planoorder", None, False),
    }
    uses = [datetime.fromisoformat(row["last_used_at"]) for row in listed]
    assert uses == sorted(uses, reverse=True)
    assert uses[1] - uses[2] > timedelta(minutes=59)


async def test_log_out_ends_one_session_by_id_or_all_sessions(client: Client, app: Caller) -> None:
    first, second, third = [await app.signed_in("client@example.com") for _ in range(3)]
    ids = [(await caller.read()).json()["data"]["session"]["id"] for caller in (first, second)]
    other_user = await app.signed_in()
    for refusal in (await other_user.log_out(id=ids[1]), await first.log_out(id=4711)):
        assert outcome(refusal) == refused("invalid-param")
        assert [error["attr"] for error in refusal.json()["errors"]] == ["id"]
    assert (await first.log_out(id=ids[1])).json()["data"] == {"ended": 1}
    await wait_until_ended(second)
    assert outcome(await first.log_out(id=ids[1])) == refused("invalid-param")
    assert ids[0] in [session["id"] for session in await first.sessions()]
    assert (await third.log_out(all=True)).json()["data"] == {"ended": 3}
    demo_session = Caller(client, client.tokens["client"])
    await asyncio.gather(*(wait_until_ended(caller) for caller in (first, third, demo_session)))
    assert outcome(await other_user.read()) == DONE


async def test_registration_stores_only_hashes_of_password_and_token(
    client: Client, app: Caller
) -> None:
    session = (await app.register()).json()["data"]["session"]
    query = (
        "select * from gateway.users u join gateway.sessions s on s.user_id = u.id where s.id = $1"
    )
    [row] = await execute(client.database_url, query, session["id"])
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert row["token_hash"] == tokens.digest(session["token"])
