"""A batched action refuses calls whose deadline has passed, on the event loop of production."""

import asyncio

import uvloop
from support.builders import limits, route

from gateway import statuses
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.identity.credentials import Credentials
from gateway.identity.passwords import Passwords
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.mailer import Mailer
from gateway.upstreams.action import Batch, Outcome
from gateway.upstreams.batch import BatchedAction
from gateway.upstreams.call import Call
from gateway.values import ANONYMOUS, Rejection


def call(pool: Pool, deadline: float) -> Call:
    return Call(
        request_id="request-1",
        route=route(),
        caller=ANONYMOUS,
        params={},
        settings={},
        db=Database(pool, deadline),
        mail=Mailer(Outbox(pool, {}), "orders.create", "request-1", deadline),
        identity=Credentials(passwords=Passwords(), limits=limits(), max_sessions=100),
        deadline=deadline,
        address="127.0.0.1",
        claim=None,
    )


async def never_runs(*_: object, **__: object) -> list[Outcome]:
    raise AssertionError


async def refusals_of_late_calls() -> list[str]:
    """The refusals of two calls of one turn of the loop, both after their deadline."""
    pool = Pool("", 1)
    action = BatchedAction(Batch(never_runs, None), pool)
    late = asyncio.get_running_loop().time() - 1
    calls = (call(pool, late), call(pool, late - 1))
    errors = await asyncio.gather(*map(action.perform, calls), return_exceptions=True)
    return [error.slug if isinstance(error, Rejection) else repr(error) for error in errors]


def test_batch_refuses_several_calls_that_come_after_their_deadline() -> None:
    assert uvloop.run(refusals_of_late_calls()) == [statuses.SERVICE_TIMEOUT] * 2
