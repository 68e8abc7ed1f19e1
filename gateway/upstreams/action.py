"""The contract of an action: how a service declares one, and what the pipeline can do with it."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from gateway.database.handle import Database
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply


class Action(Protocol):
    """Does the work of a route; how is its own affair."""

    async def perform(self, call: Call) -> Reply:
        """The reply to a call.

        Raises Rejection, and DatabaseError. Also service-timeout, if the call's deadline passes
        before any SQL is sent for it.
        """


class RetrySingly:
    """The type of `RETRY_SINGLY`."""


RETRY_SINGLY: Final = RetrySingly()
"""The outcome of a call of a batch that has to be run again without the others."""

Outcome: TypeAlias = Reply | Rejection | RetrySingly

Function: TypeAlias = Callable[[Call], Awaitable[Reply]]
"""An action as most services write it: one async function of one call."""


class BatchFunction(Protocol):
    """An action as `batched` declares it."""

    __module__: str

    async def __call__(
        self, calls: Sequence[Call], db: Database, *, singly: bool
    ) -> Sequence[Outcome]:
        """One outcome for each call, in order; only a call run `singly` may wait for a lock."""


class Batch(NamedTuple):
    """A function that is given the calls that wait for it together: see `batched`."""

    function: BatchFunction
    partition_key: Callable[[Call], Hashable] | None


def batched(
    partition_key: Callable[[Call], Hashable] | None = None,
) -> Callable[[BatchFunction], Batch]:
    """Declare an action that is given the calls that wait for it together, and commits once.

    It returns one outcome for each call, in their order, and writes in one statement or one
    transaction, so that an error undoes all of it. It skips what other transactions have locked,
    with the outcome RETRY_SINGLY: it is then called again with that call alone (`singly`), and may
    wait. Calls with the same `partition_key` never run at the same time, and run in the order of
    their arrival.
    """
    return lambda function: Batch(function, partition_key)
