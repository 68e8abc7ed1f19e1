"""Passwords: hashed with argon2id, a bounded number at once, beside other requests."""

import asyncio

import argon2
import pytest

from gateway.identity import passwords
from gateway.identity.passwords import Passwords
from gateway.values import Rejection


async def test_passwords_hash_matches_its_password_alone() -> None:
    hasher = Passwords()
    stored = await hasher.hash("a secret")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != await hasher.hash("a secret")
    assert await hasher.verify(stored, "a secret")
    assert not await hasher.verify(stored, "a Secret")
    assert not hasher.is_outdated(stored)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$xx$yy"])
async def test_passwords_malformed_hash_matches_no_password(stored: str) -> None:
    assert not await Passwords().verify(stored, "x")


async def test_passwords_hash_of_weaker_parameters_is_outdated_and_still_matches() -> None:
    old = argon2.PasswordHasher(1, 8, 1).hash("a secret")
    assert Passwords().is_outdated(old)
    assert await Passwords().verify(old, "a secret")


async def test_passwords_beyond_the_maximum_of_waiting_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 2)
    hasher = Passwords()
    # One is hashed, and two wait.
    waiting = [asyncio.create_task(hasher.hash("a")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Rejection) as refused:
        await hasher.hash("b")
    assert refused.value.slug == "service-unavailable"
    await asyncio.gather(*waiting)
    assert await hasher.hash("b")


async def test_passwords_of_one_address_leave_a_place_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 4)
    hasher = Passwords()
    flood = [asyncio.create_task(hasher.hash("a", address="203.0.113.9")) for _ in range(9)]
    await asyncio.sleep(0)
    other = asyncio.create_task(hasher.hash("b", address="203.0.113.7"))
    await asyncio.gather(*flood, return_exceptions=True)
    assert (await other).startswith("$argon2id$")
    assert sum(isinstance(task.exception(), Rejection) for task in flood) == 5


async def test_passwords_wait_ends_with_the_deadline() -> None:
    hasher = Passwords()
    hashing = asyncio.create_task(hasher.hash("a"))
    await asyncio.sleep(0)
    past = asyncio.get_running_loop().time() - 1
    with pytest.raises(Rejection) as refused:
        await hasher.verify("stored", "b", deadline=past)
    assert refused.value.slug == "service-unavailable"
    assert await hashing
    assert await hasher.hash("b", deadline=past + 3600)


async def test_passwords_thread_is_taken_until_the_work_of_a_caller_that_left_ends() -> None:
    hasher = Passwords()
    left = asyncio.create_task(hasher.hash("a"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    with pytest.raises(Rejection):
        await hasher.hash("b", deadline=asyncio.get_running_loop().time() - 1)
    assert await hasher.hash("b")


async def test_passwords_do_not_block_the_event_loop() -> None:
    hashing = asyncio.create_task(Passwords().hash("a"))
    turns = 0
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
