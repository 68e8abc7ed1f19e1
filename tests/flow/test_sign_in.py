"""Signing in, through the API alone: from registering to the end of the last session."""

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
    """Calls the identity routes as an app does: with the token it was given last."""

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
        given = {"application": application, "client": PERSON, **params}
        return await self.call(REGISTER, given, secret=True)

    async def log_in(
        self, email: str = "employee@example.com", password: str = PASSWORD, **params: Any
    ) -> httpx2.Response:
        given = {"email": email, "password": password, "application": "planoorder", **params}
        return await self.call(LOG_IN, given, secret=True)

    async def signed_in(self, *args: str, **params: Any) -> "Caller":
        """Another caller, with the session of a log-in that did not end any."""
        answer = (await Caller(self.client).log_in(*args, **params)).json()
        assert answer["status"] == "action-successful"
        return Caller(self.client, answer["data"]["session"]["token"])

    async def read(self) -> httpx2.Response:
        return await self.call(READ)

    async def sessions(self) -> list[dict[str, Any]]:
        answer = await self.call(LIST)
        found: list[dict[str, Any]] = answer.json()["data"]["sessions"]
        return found

    async def log_out(self, **params: Any) -> httpx2.Response:
        return await self.call(LOG_OUT, params, method="DELETE")

    async def change_password(self, old: str, new: str) -> httpx2.Response:
        given = {"password": old, "new_password": new}
        return await self.call(NEW_PASSWORD, given, method="PUT", secret=True)


@pytest.fixture
def app(client: Client) -> Caller:
    return Caller(client)


def outcome(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["status"]


DONE = (200, "action-successful")
ENDED = (401, "invalid-token")


def refused(slug: str) -> tuple[int, str]:
    return 400, slug


async def ends(caller: Caller, seconds: float = 5) -> None:
    """Wait until the caller's session is no session any more."""
    deadline = asyncio.get_running_loop().time() + seconds
    while outcome(await caller.read()) != ENDED:
        assert asyncio.get_running_loop().time() < deadline, "the session goes on"
        await asyncio.sleep(0.01)


async def rows(client: Client) -> list[int]:
    """How many users, clients and sessions there are."""
    tables = ("users", "clients", "sessions")
    return [len(await execute(client.database_url, f"select from {name}")) for name in tables]


async def test_client_registers_calls_and_logs_out(client: Client, app: Caller) -> None:
    answer = (await app.register()).json()
    made, session = answer["data"]["client"], answer["data"]["session"]
    assert (made["name"], made["user_id"]) == ("Eve Park", session["user_id"])
    assert (session["email"], session["roles"]) == ("Eve.Park@Example.com", ["client"])
    app.token = session["token"]
    assert outcome(await app.read()) == DONE
    again = await app.signed_in("eve.park@EXAMPLE.com", "correct horse")
    assert (await again.read()).json()["data"]["session"]["user_id"] == session["user_id"]
    headers = {"authorization": f"Bearer {app.token}"}
    assert (await client.request("GET", "/services/statuses", headers=headers)).is_success

    assert (await again.log_out()).json()["data"] == {"ended": 1}
    await ends(again)
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
    made = answer.json()["data"]
    assert (made["client"]["name"], made["client"]["enterprise"]) == ("Dan Reed", True)
    assert (made["session"]["roles"], made["session"]["token"]) == (["client"], app.token)
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
    await execute(client.database_url, "update users set password_hash = null where id = 1")
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
    taken = [turn for turn, answer in enumerate(answers) if outcome(answer) == DONE]
    assert len(taken) == 1
    others = {outcome(answer) for answer in answers if outcome(answer) != DONE}
    assert others == {refused("email-already-registered")}
    assert await rows(client) == [count + 1 for count in before]
    assert outcome(await app.log_in("eve@example.com", f"password {taken[0]}")) == DONE


async def test_log_in_ends_the_session_that_it_is_sent_with(app: Caller) -> None:
    old = await app.signed_in()
    new = Caller(app.client, (await old.log_in()).json()["data"]["session"]["token"])
    await ends(old)
    assert outcome(await new.read()) == DONE


@pytest.mark.parametrize("caller", ["client", "nobody", "application"])
async def test_log_in_does_not_end_a_session_of_another_user(client: Client, caller: str) -> None:
    other = Caller(client, client.tokens[caller])
    assert outcome(await other.log_in()) == DONE
    assert outcome(await other.register()) == DONE
    ended = "select from sessions where revoked_at is not null"
    assert not await execute(client.database_url, ended)


async def test_password_change_ends_only_the_other_sessions_of_the_user(app: Caller) -> None:
    here, there, elsewhere = [await app.signed_in("client@example.com") for _ in range(3)]
    stranger = await app.signed_in()
    wrong = await here.change_password("wrong-password", "another password")
    assert outcome(wrong) == refused("invalid-password")
    assert outcome(await here.change_password(PASSWORD, "short")) == refused("invalid-param")
    assert outcome(await there.read()) == DONE

    answer = await here.change_password(PASSWORD, "another password")
    # The third is the demo's own.
    assert answer.json()["data"] == {"ended": 3}
    await asyncio.gather(ends(there), ends(elsewhere))
    assert outcome(await here.read()) == outcome(await stranger.read()) == DONE
    assert outcome(await app.log_in("client@example.com")) == refused("invalid-password")
    assert outcome(await app.log_in("client@example.com", "another password")) == DONE


async def test_log_in_overtaken_by_a_password_change_creates_no_session(
    client: Client, app: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await app.signed_in()
    passwords = client.worker.passwords
    verify = passwords.verify

    async def overtaken(stored: str, password: str) -> bool:
        monkeypatch.setattr(passwords, "verify", verify)
        right = await verify(stored, password)
        assert outcome(await here.change_password(PASSWORD, "another password")) == DONE
        return right

    monkeypatch.setattr(passwords, "verify", overtaken)
    assert outcome(await app.log_in()) == refused("invalid-password")
    assert len(await here.sessions()) == 1


async def test_session_list_shows_use_and_address_but_no_token(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, trusted_proxies="127.0.0.1") as client:
        client._http.headers["x-forwarded-for"] = "2001:db8::7"
        here = await Caller(client).signed_in("client@example.com")
        there = await here.signed_in("client@example.com", application="planoauth")
        query = "update sessions set last_used_at = now() - interval '1 hour' where address is null"
        await execute(database, query)
        answer = await here.call(LIST)
    for secret in (*tokens.values(), here.token, there.token):
        assert secret
        assert secret not in answer.text
    listed = answer.json()["data"]["sessions"]
    assert {(each["application"], each["address"], each["current"]) for each in listed} == {
        ("planoauth", "2001:db8::7", False),
        ("planoorder", "2001:db8::7", True),
        ("planoorder", None, False),
    }
    uses = [datetime.fromisoformat(each["last_used_at"]) for each in listed]
    assert uses == sorted(uses, reverse=True)
    assert uses[1] - uses[2] > timedelta(minutes=59)


async def test_log_out_ends_one_session_by_id_or_all_sessions(client: Client, app: Caller) -> None:
    here, there, third = [await app.signed_in("client@example.com") for _ in range(3)]
    ids = [(await each.read()).json()["data"]["session"]["id"] for each in (here, there)]
    strange = await app.signed_in()
    for refusal in (await strange.log_out(id=ids[1]), await here.log_out(id=4711)):
        assert outcome(refusal) == refused("invalid-param")
        assert [error["attr"] for error in refusal.json()["errors"]] == ["id"]
    assert (await here.log_out(id=ids[1])).json()["data"] == {"ended": 1}
    await ends(there)
    assert outcome(await here.log_out(id=ids[1])) == refused("invalid-param")
    assert ids[0] in [session["id"] for session in await here.sessions()]
    assert (await third.log_out(all=True)).json()["data"] == {"ended": 3}
    await asyncio.gather(ends(here), ends(third), ends(Caller(client, client.tokens["client"])))
    assert outcome(await strange.read()) == DONE


async def test_registration_stores_only_hashes_of_password_and_token(
    client: Client, app: Caller
) -> None:
    session = (await app.register()).json()["data"]["session"]
    query = "select * from users u join sessions s on s.user_id = u.id where s.id = $1"
    [row] = await execute(client.database_url, query, session["id"])
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert row["token_hash"] == tokens.digest(session["token"])
