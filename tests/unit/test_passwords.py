"""Passwords: hashed with argon2id, a bounded number at once, beside everybody else."""

import asyncio

import argon2
import pytest

from gateway.identity import passwords
from gateway.identity.passwords import Passwords
from gateway.values import Rejection


async def test_a_hash_is_of_its_password_alone() -> None:
    made = Passwords()
    stored = await made.hash("a secret")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != await made.hash("a secret")
    assert await made.verify(stored, "a secret")
    assert not await made.verify(stored, "a Secret")
    assert not made.is_outdated(stored)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$xx$yy"])
async def test_what_is_no_hash_is_nobody_s_password(stored: str) -> None:
    assert not await Passwords().verify(stored, "x")


async def test_a_hash_of_weaker_parameters_is_outdated_and_still_right() -> None:
    old = argon2.PasswordHasher(1, 8, 1).hash("a secret")
    assert Passwords().is_outdated(old)
    assert await Passwords().verify(old, "a secret")


async def test_more_than_can_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 2)
    made = Passwords()
    waiting = [asyncio.create_task(made.hash("a")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Rejection) as refused:
        await made.hash("b")
    assert refused.value.slug == "service-unavailable"
    await asyncio.gather(*waiting)
    assert await made.hash("b")


async def test_the_event_loop_goes_on_meanwhile() -> None:
    hashing = asyncio.create_task(Passwords().hash("a"))
    turns = 0
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
