"""The contract of an action: how a service declares one, and how the pipeline performs it."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from gateway.database.handle import Database
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply


class Action(Protocol):
    """Does the work of a route: a function, a batch, or any other implementation."""

    async def perform(self, call: Call) -> Reply:
        """The reply to a call.

        Raises DatabaseError, and Rejection: service-timeout if the call's deadline passes before
        any SQL is sent for it, or a status of the service.
        """


class RetrySingly:
    """The type of `RETRY_SINGLY`."""


RETRY_SINGLY: Final = RetrySingly()
"""The outcome of a call in a batch that must be run again, alone."""

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
    """A function that gets all waiting calls together: see `batched`."""

    function: BatchFunction
    partition_key: Callable[[Call], Hashable] | None


def batched(
    partition_key: Callable[[Call], Hashable] | None = None,
) -> Callable[[BatchFunction], Batch]:
    """Declare an action that gets all waiting calls together, and commits once for all of them.

    It returns one outcome for each call, in their order. It writes in one statement or one
    transaction, so that an error undoes everything. It does not wait for rows that are locked, but
    returns RETRY_SINGLY for their calls; it then gets each of these calls alone (`singly`), and may
    wait. Calls with the same `partition_key` never run at the same time, and run in the order of
    their arrival.
    """
    return lambda function: Batch(function, partition_key)


def wrong_reply(handler: str, reply: object) -> TypeError:
    """The error of an action that returned something other than a Reply; it quotes no value."""
    kind = type(reply).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    what = "None" if reply is None else f"{article} {kind}"
    return TypeError(f"{handler} returned {what}, not a Reply")
