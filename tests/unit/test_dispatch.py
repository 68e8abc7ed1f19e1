"""Dispatch: the deadline ends a call until something was sent, and statuses are documented."""

import asyncio
from collections.abc import Awaitable, Callable

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
    """A call whose deadline is so far away; its pool is never used."""
    deadline = asyncio.get_running_loop().time() + seconds
    made = route(statuses={**statuses.COMMON, **OWN})
    pool = Pool("", 1)
    return Call(
        request_id="request-1",
        route=made,
        caller=ANONYMOUS,
        params={},
        db=Database(pool, deadline),
        mail=Mailer(Outbox(pool, {}), made.name, "request-1", deadline),
        identity=Credentials(Passwords(), limits()),
        deadline=deadline,
        address="127.0.0.1",
        claim=None,
    )


async def dispatched(given: Call, action: Action) -> Reply:
    return await dispatch(given, PythonAction(action))


def raising(error: BaseException) -> Action:
    async def action(_: Call) -> Reply:
        raise error

    return action


async def until_after(deadline: float) -> None:
    """Wait until the deadline is well past, so that a timer would have fired."""
    past = asyncio.Event()
    asyncio.get_running_loop().call_at(deadline + 0.01, past.set)
    await past.wait()


async def test_the_reply_of_the_action_is_the_answer() -> None:
    async def action(given: Call) -> Reply:
        return Reply({"id": given.request_id})

    assert await dispatched(call(), action) == Reply({"id": "request-1"})


@pytest.mark.parametrize("slug", sorted({*statuses.COMMON, *OWN} - {"action-successful"}))
async def test_a_documented_status_is_let_through(slug: str) -> None:
    with pytest.raises(Rejection) as caught:
        await dispatched(call(), raising(Rejection(slug)))
    assert caught.value.slug == slug


@pytest.mark.parametrize("slug", ["email-already-registered", "", "Invalid-Param", "404"])
async def test_an_undocumented_status_is_a_fault_of_the_service(slug: str) -> None:
    with pytest.raises(UndocumentedError, match=r"things\.create") as caught:
        await dispatched(call(), raising(Rejection(slug)))
    assert not isinstance(caught.value, Rejection)


async def test_an_own_status_of_another_route_is_undocumented_here() -> None:
    other = call()._replace(route=route())
    with pytest.raises(UndocumentedError):
        await dispatched(other, raising(Rejection("email-not-found")))


@pytest.mark.parametrize(
    "error", [KeyError("x"), DatabaseUnavailable("gone"), OSError("x"), AssertionError()], ids=repr
)
async def test_what_else_an_action_raises_is_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await dispatched(call(), raising(error))
    assert caught.value is error


@pytest.mark.parametrize("seconds", [0.01, 0, -1], ids=["soon", "now", "past"])
async def test_a_deadline_before_anything_was_sent_is_a_time_out(seconds: float) -> None:
    ended = []

    async def action(_: Call) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    with pytest.raises(Rejection) as caught:
        await dispatched(call(seconds), action)
    assert caught.value.slug == "service-timeout"
    assert ended == ["cancelled"]


async def test_after_something_was_sent_the_deadline_no_longer_cancels() -> None:
    async def action(given: Call) -> Reply:
        given.db.on_sent()
        await until_after(given.deadline)
        return Reply("late")

    assert await dispatched(call(0.01), action) == Reply("late")


async def test_sending_again_changes_nothing() -> None:
    async def action(given: Call) -> Reply:
        given.db.on_sent()
        await until_after(given.deadline)
        given.db.on_sent()
        await asyncio.sleep(0)
        return Reply("late")

    assert await dispatched(call(0.01), action) == Reply("late")


async def test_a_refusal_after_a_late_answer_is_still_that_refusal() -> None:
    async def action(given: Call) -> Reply:
        given.db.on_sent()
        await until_after(given.deadline)
        raise Rejection("invalid-param")

    with pytest.raises(Rejection) as caught:
        await dispatched(call(0.01), action)
    assert caught.value.slug == "invalid-param"


async def test_a_time_out_of_the_service_s_own_is_not_the_deadline() -> None:
    own = TimeoutError("mine")
    with pytest.raises(TimeoutError) as caught:
        await dispatched(call(), raising(own))
    assert caught.value is own


async def test_a_time_out_of_the_service_s_own_after_sending_is_not_the_deadline() -> None:
    async def action(given: Call) -> Reply:
        given.db.on_sent()
        await until_after(given.deadline)
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(TimeoutError):
        await dispatched(call(0.01), action)


async def test_a_time_out_that_the_service_handles_is_its_own_affair() -> None:
    async def action(_: Call) -> Reply:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return Reply("went on")
        raise AssertionError

    assert await dispatched(call(), action) == Reply("went on")


async def test_a_cancelled_request_is_cancelled_and_not_timed_out() -> None:
    started = asyncio.Event()

    async def action(_: Call) -> Reply:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(dispatched(call(), action))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_action_that_has_sent_its_work_before_it_waits_has_no_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def sends(given: Call) -> Reply:
        given.db.on_sent()
        await asyncio.sleep(0)
        return Reply("sent")

    async def never_waits(_: Call) -> Reply:
        return Reply("at once")

    monkeypatch.setattr(asyncio, "timeout_at", None)
    assert await dispatched(call(), sends) == Reply("sent")
    assert await dispatched(call(-1), never_waits) == Reply("at once")


async def test_what_an_action_catches_while_it_waits_is_its_own_affair() -> None:
    async def action(_: Call) -> Reply:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(KeyError("x"))
        await asyncio.sleep(0)
        try:
            await failed
        except KeyError:
            await asyncio.sleep(0)
            return Reply("went on")
        raise AssertionError

    assert await dispatched(call(), action) == Reply("went on")
