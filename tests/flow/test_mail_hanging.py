"""A Mandrill that hangs: calls that wait for their mail do not delay other calls."""

import asyncio

import pytest
from support.harness import execute, until
from support.mail import MailSetup, create, set_client_email, wait_for_rows
from support.mandrill import running_stand_in

from gateway.outbox import dispatcher

HANGING_CALLS = 50
OTHER_CALLS = 20
SET_LONG_TIMEOUT = "update gateway.routes set record = record || '{\"timeout\": 60}'"


async def test_mail_that_hangs_does_not_delay_other_calls(
    database: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "FINISH_TIMEOUT", 0.1)
    await execute(database, SET_LONG_TIMEOUT)
    with running_stand_in() as (stand_in, address):
        setup = MailSetup(database, tokens, stand_in, address)
        async with setup.serving() as client:
            client.worker.mandrill._timeout = (3.05, 60.0)
            await set_client_email(client, "slow@x.y")
            waiting = [
                asyncio.create_task(create(client, order_id=n)) for n in range(1, HANGING_CALLS + 1)
            ]
            await wait_for_rows(database, "select from gateway.outbox", HANGING_CALLS)
            await until(lambda: len(stand_in.received) >= 16)
            answers = [await client.create_stage(order_id=99) for _ in range(OTHER_CALLS)]
            assert {answer.status_code for answer in answers} == {200}
            assert not [task for task in waiting if task.done()], "none of the others has its mail"
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await execute(database, "update gateway.outbox set state = 'discarded'")
