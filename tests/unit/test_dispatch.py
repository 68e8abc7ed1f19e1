"""Dispatch: the deadline ends a call before it sends SQL, and statuses must be documented."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.builders import limits, route

from gateway import statuses
from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.identity.credentials import Credentials
from gateway.identity.passwords import Passwords
from gateway.outbox.dispatcher import Outbox
from gateway.outbox.mailer import Mailer
from gateway.stages.dispatch import UndocumentedError, dispatch
from gateway.upstreams.call import Call
from gateway.upstreams.python import PythonAction
from gateway.values import ANONYMOUS, Rejection, Reply

OWN = statuses.route_statuses({"email-not-found": (400, "No user has this address.")})
Action = Callable[[Call], Awaitable[Reply]]


def call(seconds: float = 60) -> Call:
    """A call whose deadline is in so many seconds; its pool is never used."""
    deadline = asyncio.get_running_loop().time() + seconds
    documented = route(statuses={**statuses.COMMON, **OWN})
    pool = Pool("", 1)
    return Call(
        request_id="request-1",
        route=documented,
        caller=ANONYMOUS,
        params={},
        settings={},
        db=Database(pool, deadline),
        mail=Mailer(Outbox(pool, {}), documented.name, "request-1", deadline),
        identity=Credentials(passwords=Passwords(), limits=limits(), max_sessions=100),
        deadline=deadline,
        address="127.0.0.1",
        claim=None,
    )


async def run(call: Call, action: Action) -> Reply:
    """The reply of a call, through the stage."""
    return await dispatch(call, PythonAction(action))


def raising(error: BaseException) -> Action:
    async def action(_: Call) -> Reply:
        raise error

    return action


async def wait_past(deadline: float) -> None:
    """Wait until well after the deadline, when a timer would have fired."""
    past = asyncio.Event()
    asyncio.get_running_loop().call_at(deadline + 0.01, past.set)
    await past.wait()


async def test_dispatch_returns_the_reply_of_the_action() -> None:
    async def action(call: Call) -> Reply:
        return Reply({"id": call.request_id})

    assert await run(call(), action) == Reply({"id": "request-1"})


@pytest.mark.parametrize("slug", sorted({*statuses.COMMON, *OWN} - {"action-successful"}))
async def test_dispatch_passes_a_documented_status_on(slug: str) -> None:
    with pytest.raises(Rejection) as caught:
        await run(call(), raising(Rejection(slug)))
    assert caught.value.slug == slug


@pytest.mark.parametrize("slug", ["email-already-registered", "", "Invalid-Param", "404"])
async def test_dispatch_of_an_undocumented_status_is_a_bug_of_the_service(slug: str) -> None:
    with pytest.raises(UndocumentedError, match=r"things\.create") as caught:
        await run(call(), raising(Rejection(slug)))
    assert not isinstance(caught.value, Rejection)


async def test_dispatch_of_another_route_s_status_is_a_bug_of_the_service() -> None:
    other = call()._replace(route=route())
    with pytest.raises(UndocumentedError):
        await run(other, raising(Rejection("email-not-found")))


@pytest.mark.parametrize(
    "error", [KeyError("x"), DatabaseUnavailable("gone"), OSError("x"), AssertionError()], ids=repr
)
async def test_dispatch_passes_any_other_error_on(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await run(call(), raising(error))
    assert caught.value is error


@pytest.mark.parametrize("seconds", [0.01, 0, -1], ids=["soon", "now", "past"])
async def test_dispatch_past_the_deadline_before_sql_is_sent_times_out(seconds: float) -> None:
    ended = []

    async def action(_: Call) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    with pytest.raises(Rejection) as caught:
        await run(call(seconds), action)
    assert caught.value.slug == "service-timeout"
    assert ended == ["cancelled"]


async def test_dispatch_past_the_deadline_after_sql_was_sent_continues() -> None:
    async def action(call: Call) -> Reply:
        call.db.on_sent()
        await wait_past(call.deadline)
        return Reply("late")

    assert await run(call(0.01), action) == Reply("late")


async def test_dispatch_of_a_call_that_sends_sql_twice_continues() -> None:
    async def action(call: Call) -> Reply:
        call.db.on_sent()
        await wait_past(call.deadline)
        call.db.on_sent()
        await asyncio.sleep(0)
        return Reply("late")

    assert await run(call(0.01), action) == Reply("late")


async def test_dispatch_of_a_late_refusal_is_that_refusal() -> None:
    async def action(call: Call) -> Reply:
        call.db.on_sent()
        await wait_past(call.deadline)
        raise Rejection("invalid-param")

    with pytest.raises(Rejection) as caught:
        await run(call(0.01), action)
    assert caught.value.slug == "invalid-param"


async def test_dispatch_passes_the_service_s_own_time_out_on() -> None:
    own = TimeoutError("mine")
    with pytest.raises(TimeoutError) as caught:
        await run(call(), raising(own))
    assert caught.value is own


async def test_dispatch_passes_the_service_s_own_time_out_on_after_sql_was_sent() -> None:
    async def action(call: Call) -> Reply:
        call.db.on_sent()
        await wait_past(call.deadline)
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(TimeoutError):
        await run(call(0.01), action)


async def test_dispatch_ignores_a_time_out_that_the_service_handles() -> None:
    async def action(_: Call) -> Reply:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return Reply("continued")
        raise AssertionError

    assert await run(call(), action) == Reply("continued")


async def test_dispatch_that_is_cancelled_does_not_time_out() -> None:
    started = asyncio.Event()

    async def action(_: Call) -> Reply:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(run(call(), action))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_dispatch_of_an_action_that_sends_sql_before_it_waits_starts_no_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def sends(call: Call) -> Reply:
        call.db.on_sent()
        await asyncio.sleep(0)
        return Reply("sent")

    async def never_waits(_: Call) -> Reply:
        return Reply("at once")

    monkeypatch.setattr(asyncio, "timeout_at", None)
    assert await run(call(), sends) == Reply("sent")
    assert await run(call(-1), never_waits) == Reply("at once")


async def test_dispatch_ignores_an_error_that_the_action_handles() -> None:
    async def action(_: Call) -> Reply:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(KeyError("x"))
        await asyncio.sleep(0)
        try:
            await failed
        except KeyError:
            await asyncio.sleep(0)
            return Reply("continued")
        raise AssertionError

    assert await run(call(), action) == Reply("continued")


@pytest.mark.parametrize(
    ("reply", "kind"), [({"said": 1}, "a dict"), (None, "None"), (7, "an int"), ([], "a list")]
)
async def test_dispatch_names_the_action_that_returns_no_reply(reply: Any, kind: str) -> None:
    async def action(_: Call) -> Reply:
        return reply  # type: ignore[no-any-return]

    made = call()
    with pytest.raises(TypeError) as caught:
        await run(made, action)
    assert str(caught.value) == f"{made.route.handler} returned {kind}, not a Reply"
