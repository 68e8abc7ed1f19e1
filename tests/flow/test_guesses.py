"""Guesses of passwords and tokens: limited, without locking out who is known."""

import asyncio
import base64
import math
from collections import Counter
from typing import Any

import orjson
import pytest
from support.harness import Client, execute, serving, until

from gateway.identity import tokens as identity_tokens
from gateway.identity import turns
from gateway.identity.limits import MAX_LOOKUPS
from gateway.identity.passwords import MAX_WAITING

WRONG = {"email": "employee@example.com", "password": "no", "application": "planoorder"}


async def log_in(client: Client, **changes: Any) -> Any:
    """Try to log in, by default with a wrong password."""
    body = sensitive({**WRONG, **changes})
    return await client.request("POST", "/api/v1/sessions/create", content=body)


def sensitive(params: dict[str, Any]) -> bytes:
    return base64.b64encode(orjson.dumps(params))


async def statuses(client: Client, times: int, **changes: Any) -> list[str]:
    return [(await log_in(client, **changes)).json()["status"] for _ in range(times)]


async def test_password_guesses_for_an_account_are_limited(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database, tokens, account_guesses="3", trusted_proxies="127.0.0.1"
    ) as client:
        assert await statuses(client, 3) == ["invalid-password"] * 3
        answer = await log_in(client, email="Employee@Example.com", password="demo-password")
        assert (answer.status_code, answer.json()["status"]) == (429, "rate-limit-exceeded")
        assert 1 <= int(answer.headers["retry-after"]) <= 1800
        assert await statuses(client, 1, email="client@example.com") == ["invalid-password"]


async def test_correct_passwords_do_not_count_as_guesses(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, account_guesses="3", address_guesses="3") as client:
        right = await statuses(client, 6, password="demo-password")
        assert right == ["action-successful"] * 6


async def test_password_guesses_from_an_address_are_limited_across_accounts(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database, tokens, address_guesses="4", trusted_proxies="127.0.0.1"
    ) as client:
        slugs = [await statuses(client, 1, email=f"{n}@example.com") for n in range(6)]
        assert slugs == [["email-not-found"]] * 4 + [["rate-limit-exceeded"]] * 2
        other_address = {"x-forwarded-for": "203.0.113.9"}
        body = sensitive(WRONG)
        answer = await client.request(
            "POST", "/api/v1/sessions/create", content=body, headers=other_address
        )
        assert answer.json()["status"] == "invalid-password"


async def test_password_guesses_in_parallel_are_limited_as_in_sequence(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, account_guesses="5") as client:
        answers = await asyncio.gather(*(log_in(client) for _ in range(30)))
        slugs = Counter(answer.json()["status"] for answer in answers)
        assert slugs == {"invalid-password": 5, "rate-limit-exceeded": 25}


async def test_unknown_tokens_are_limited_and_known_tokens_are_not(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, unknown_callers="3") as client:
        assert (await client.create_stage(order_id=7)).status_code == 200
        guesses = ["plano_ses_" + letter * 43 for letter in "aaabbcde"]
        codes = [(await client.create_stage(token=guess)).status_code for guess in guesses]
        assert codes == [401] * 6 + [429] * 2
        # A malformed token does not count as a guess, nor does one that was refused before.
        for token in ("undefined", guesses[0]):
            assert (await client.create_stage(token=token)).status_code == 401
        assert (await client.create_stage(order_id=7)).status_code == 200
        # A valid token that this worker does not know yet is indistinguishable from a guess.
        assert (await client.create_stage(caller="liaison", order_id=7)).status_code == 429


async def test_password_guesses_under_other_spellings_of_an_account_are_limited_together(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, account_guesses="2") as client:
        email = "liaison@example.com"
        assert await statuses(client, 2, email=email) == ["invalid-password"] * 2
        # PostgreSQL folds `İ` into `i`, Python into two characters.
        spellings = ("lİaison@example.com", "lİaİson@example.com", "LIAISON@example.com")
        slugs = [await statuses(client, 1, email=each) for each in spellings]
        assert slugs == [["email-not-found"]] * 2 + [["rate-limit-exceeded"]]


async def test_log_in_finds_an_account_in_any_case_and_refuses_what_cannot_be_folded(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens) as client:
        known = await log_in(client, email="Liaison@EXAMPLE.com", password="demo-password")
        assert known.status_code == 200
        for email in ("lİaison@example.com", "\N{REPLACEMENT CHARACTER}"):
            answer = await log_in(client, email=email, password="demo-password")
            assert answer.json()["status"] == "email-not-found"


STRANGER = {"x-forwarded-for": "203.0.113.9"}


async def log_in_from(client: Client, headers: dict[str, str], password: str) -> str:
    body = sensitive({**WRONG, "password": password})
    answer = await client.request("POST", "/api/v1/sessions/create", content=body, headers=headers)
    slug: str = answer.json()["status"]
    return slug


async def test_password_guesses_of_others_do_not_lock_the_owner_out(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database, tokens, account_guesses="3", trusted_proxies="127.0.0.1"
    ) as client:
        owner = {"x-forwarded-for": "2001:db8::7"}
        assert await log_in_from(client, owner, "demo-password") == "action-successful"
        for _ in range(3):
            assert await log_in_from(client, STRANGER, "no") == "invalid-password"
        assert await log_in_from(client, STRANGER, "demo-password") == "rate-limit-exceeded"
        # The owner comes from the network of an earlier session, and may guess wrong as often.
        owner = {"x-forwarded-for": "2001:db8::8"}
        assert await log_in_from(client, owner, "demo-password") == "action-successful"
        for _ in range(3):
            assert await log_in_from(client, owner, "no") == "invalid-password"
        assert await log_in_from(client, owner, "demo-password") == "rate-limit-exceeded"


async def test_refused_guesses_read_the_known_addresses_a_limited_number_of_times(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database,
        tokens,
        account_guesses="1",
        address_guesses="4",
        trusted_proxies="127.0.0.1",
    ) as client:
        assert await log_in_from(client, STRANGER, "no") == "invalid-password"
        rounds = counted_queries(client)
        for _ in range(20):
            assert await log_in_from(client, STRANGER, "no") == "rate-limit-exceeded"
        assert len(rounds) == 4


def counted_queries(client: Client) -> list[str]:
    """The queries that the worker's calls send from now on."""
    sent: list[str] = []
    pool, acquire = client.worker.pool, client.worker.pool.acquire

    async def counting(owner: Any = None) -> Any:
        sent.append(str(owner))
        return await acquire(owner)

    pool.acquire = counting  # type: ignore[method-assign]
    return sent


async def test_password_guesses_of_others_do_not_keep_the_owner_from_a_new_password(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database, tokens, account_guesses="2", trusted_proxies="127.0.0.1"
    ) as client:
        for _ in range(2):
            assert await log_in_from(client, STRANGER, "no") == "invalid-password"
        headers = {"authorization": f"Bearer {tokens['employee']}"}

        async def change(password: str) -> str:
            body = sensitive({"password": password, "new_password": "another one"})
            answer = await client.request(
                "PUT", "/api/v1/users/update_password", content=body, headers=headers
            )
            slug: str = answer.json()["status"]
            return slug

        assert await change("no") == "invalid-password"
        assert await change("demo-password") == "action-successful"
        assert [await change("no") for _ in range(2)] == ["invalid-password", "rate-limit-exceeded"]


async def test_known_token_is_not_a_guess_after_a_notice(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(database, tokens, unknown_callers="2") as client:
        assert (await client.create_stage(order_id=7)).status_code == 200
        for letter in "ab":
            await client.create_stage(token="plano_ses_" + letter * 43)
        name = "update gateway.users set first_name = 'Eve' where id = 1 returning email"
        await execute(database, name)
        cache = client.worker.identity.store.cache
        await until(lambda: cache.fresh(tokens["employee"]) is None)
        assert (await client.create_stage(order_id=7)).status_code == 200
        # Nor after it was revoked: the app that still uses it is told so.
        await execute(database, "update gateway.sessions set revoked_at = now()")
        await until(lambda: cache.fresh(tokens["employee"]) is None)
        assert (await client.create_stage(order_id=7)).status_code == 401
        unknown = await client.create_stage(token="plano_ses_" + "c" * 43)
        assert unknown.status_code == 429


async def test_unknown_tokens_at_once_are_looked_up_about_as_often_as_the_limit_says(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may need longer than a worker waits.
    monkeypatch.setattr(turns, "TIMEOUT", 60.0)
    async with serving(database, tokens, unknown_callers="20") as client:
        looked_up = 0
        find = client.worker.identity.store.find

        async def counting(token: str, deadline: float = math.inf) -> Any:
            nonlocal looked_up
            looked_up += 1
            return await find(token, deadline)

        client.worker.identity.store.find = counting  # type: ignore[method-assign]
        guesses = [f"plano_ses_{number:043}" for number in range(200)]
        answers = await asyncio.gather(*(client.create_stage(token=guess) for guess in guesses))
        codes = Counter(answer.status_code for answer in answers)
        assert 20 <= looked_up <= 20 + MAX_LOOKUPS
        # Of those that were not looked up, a slow machine may refuse some for waiting too long.
        assert codes[401] <= looked_up
        assert codes[401] + codes[429] + codes[503] == 200


async def test_valid_tokens_at_once_are_not_refused_for_being_many(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may need longer than a worker waits.
    monkeypatch.setattr(turns, "TIMEOUT", 60.0)
    known = [f"plano_ses_{number:043}" for number in range(50)]
    query = """
        insert into gateway.sessions (user_id, application_id, token_hash)
        select 1, 2, digest from unnest($1::bytea[]) as digest
    """
    await execute(database, query, [identity_tokens.digest(token) for token in known])
    async with serving(database, tokens, unknown_callers="3") as client:
        read = "/api/v1/sessions/read"
        answers = await asyncio.gather(*(client.post(read, {"token": token}) for token in known))
        assert {answer.status_code for answer in answers} == {200}


async def test_calls_that_share_a_look_up_wait_for_no_turn(client: Client) -> None:
    """A burst of calls with one new token is one look-up, however few may run at once."""
    store = client.worker.identity.store
    turns = client.worker.identity.limits._token_turns._places
    look_up, release = store._session, asyncio.Event()

    async def held(digest: bytes) -> Any:
        await release.wait()
        return await look_up(digest)

    store._session = held  # type: ignore[method-assign]
    token = client.tokens["liaison"]
    first = asyncio.create_task(read_session(client, token))
    await until(lambda: store.is_loading(token))
    others = [asyncio.create_task(read_session(client, token)) for _ in range(3 * MAX_LOOKUPS)]
    await asyncio.sleep(0.1)
    assert [places.users for places in turns.values()] == [1]
    release.set()
    assert {await task for task in (first, *others)} == {200}


async def read_session(client: Client, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return (await client.post("/api/v1/sessions/read", {}, headers=headers)).status_code


async def test_log_ins_of_one_address_do_not_starve_those_of_another(
    database: str, tokens: dict[str, str]
) -> None:
    async with serving(
        database,
        tokens,
        account_guesses="1000",
        address_guesses="1000",
        trusted_proxies="127.0.0.1",
    ) as client:
        flood = [
            asyncio.create_task(log_in_from(client, STRANGER, "demo-password")) for _ in range(100)
        ]
        queue = client.worker.passwords._queue
        await until(lambda: queue._waiting == MAX_WAITING)
        owner = {"x-forwarded-for": "203.0.113.7"}
        assert await log_in_from(client, owner, "demo-password") == "action-successful"
        done = sum(task.done() for task in flood)
        slugs = Counter(await asyncio.gather(*flood))
        # The owner waited for a turn or two of the others, and for no more.
        assert done < len(flood)
        assert slugs["action-successful"] + slugs["service-unavailable"] == len(flood)
