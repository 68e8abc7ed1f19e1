"""Mandrill hangs: calls that wait for it hold up nobody else."""

import asyncio

import pytest
from support.harness import execute, until
from support.mail import Post, create, read_at, rows_are
from support.mandrill import standing_in

from gateway.outbox import dispatcher

MANY = 50
OTHERS = 20
PATIENT = "update gateway.routes set record = record || '{\"timeout\": 60}'"


async def test_mail_that_hangs_does_not_delay_other_calls(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "FINISH_TIMEOUT", 0.1)
    await execute(database, PATIENT)
    with standing_in() as (stand_in, address):
        post = Post(database, tokens, stand_in, address)
        async with post.serving() as client:
            client.worker.mandrill._timeout = (3.05, 60.0)
            await read_at(client, "slow@x.y")
            waiting = [asyncio.create_task(create(client, order_id=n)) for n in range(1, MANY + 1)]
            await rows_are(database, "select from gateway.outbox", MANY)
            await until(lambda: len(stand_in.received) >= 16)
            answers = [await client.create_stage(order_id=99) for _ in range(OTHERS)]
            assert {answer.status_code for answer in answers} == {200}
            assert not [task for task in waiting if task.done()], "none of the others has its mail"
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await execute(database, "update gateway.outbox set state = 'discarded'")
