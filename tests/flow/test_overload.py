"""Ten times the capacity of a worker: the rest is refused at once, and no capacity is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2
from support.harness import serving, until
from support.probe import apply_probe

from gateway import Call, Reply
from gateway.edge.admission import Admission
from gateway.upstreams.python import Actions

CAPACITY = 5
OVERLOAD = 10 * CAPACITY
WAVES = 3


class Gate:
    """An action whose calls wait until `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def act(self, _: Call) -> Reply:
        await self.open.wait()
        return Reply()


@asynccontextmanager
async def overloaded(
    database: str, tokens: dict[str, str], gate: Gate
) -> AsyncIterator[tuple[Admission, httpx2.AsyncClient]]:
    """A worker that takes `CAPACITY` requests at once, and a client without a connection limit."""
    await apply_probe(database)
    gated = Actions({"probe.echo": gate.act})
    limit = str(CAPACITY)
    async with serving(database, tokens, actions=gated, max_in_flight=limit) as client:
        transport = httpx2.ASGITransport(client.worker.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield client.worker.pipeline.admission, http


async def call(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.post("/api/v1/probe/public", json={"number": 7})


async def test_overload_is_refused_at_once_and_leaves_the_whole_capacity(
    database: str, tokens: dict[str, str]
) -> None:
    gate = Gate()
    async with overloaded(database, tokens, gate) as (admission, http):
        for _ in range(WAVES):
            gate.open.clear()
            calls = [asyncio.create_task(call(http)) for _ in range(OVERLOAD)]
            # The refused calls are answered while the admitted ones still wait.
            await until(partial(_are_done, calls, OVERLOAD - CAPACITY))
            refused = [task.result() for task in calls if task.done()]
            assert {answer.status_code for answer in refused} == {503}
            assert {answer.headers["retry-after"] for answer in refused} == {"1"}
            assert admission.in_flight == CAPACITY
            gate.open.set()
            codes = Counter(answer.status_code for answer in await asyncio.gather(*calls))
            assert codes == {200: CAPACITY, 503: OVERLOAD - CAPACITY}
            assert admission.in_flight == 0
        answers = await asyncio.gather(*(call(http) for _ in range(CAPACITY)))
        assert {answer.status_code for answer in answers} == {200}, "all capacity is free"


def _are_done(tasks: list[asyncio.Task[httpx2.Response]], count: int) -> bool:
    return sum(task.done() for task in tasks) == count
