"""Idempotency keys: a call that is repeated is answered again, and not done again.

The claim is a lock inside the transaction of the service's own work, so that there is no claim
without work and no work without its answer, wherever a process dies.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import orjson
from asyncpg import Record

from gateway import statuses
from gateway.database.handle import Database, Transaction
from gateway.database.pool import FAULTS, Connection, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.outbox.mailer import FAILED, with_time
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply, Request

HEADER = b"idempotency-key"
ATTR = "Idempotency-Key"
MAX_KEY_LENGTH = 255
REPLAYED = {"Idempotent-Replayed": "true"}

SWEEP_INTERVAL = 600.0
SWEEP_TIMEOUT = 30.0

_SQL = load_queries(__file__)
_log = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What shall be done once: `key` hashes caller, route and key, `params` the params."""

    key: bytes
    params: bytes

    @property
    def lock(self) -> int:
        """The number of the advisory lock; that two keys share one is harmless and rare."""
        return int.from_bytes(self.key[:8], signed=True)


def claim(request: Request, call: Call) -> Claim | None:
    """What the header `Idempotency-Key` claims; None where the route or the caller wants none.

    Raises Rejection: missing-param, invalid-param.
    """
    if call.route.idempotency == "off":
        return None
    given = request.headers.get(HEADER)
    if given is None:
        if call.route.idempotency == "required":
            raise Rejection(statuses.MISSING_PARAM, errors=[Rejection.error(ATTR, "missing")])
        return None
    if not 1 <= len(given) <= MAX_KEY_LENGTH:
        message = f"must have 1 to {MAX_KEY_LENGTH} characters"
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error(ATTR, message)])
    # Lengths in front: no two different parts make the same whole.
    parts = [_owner(call).encode(), call.route.name.encode(), given]
    whole = b"".join(len(part).to_bytes(4) + part for part in parts)
    return Claim(hashlib.sha256(whole).digest(), _fingerprint(call))


def _owner(call: Call) -> str:
    caller = call.caller
    if caller.application:
        return f"application:{caller.application.id}"
    return f"user:{caller.user_id}"


def _fingerprint(call: Call) -> bytes:
    """A hash of the params, without the token and the views, which change nothing of the work."""
    params = [call.caller.application_slug, call.params]
    return hashlib.sha256(orjson.dumps(params, option=orjson.OPT_SORT_KEYS)).digest()


async def once(claimed: Claim, call: Call, run: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Do the work of a call and store its answer in one transaction, or return the stored answer.

    Raises Rejection: idempotency-conflict while a call with the same key runs, idempotency-mismatch
    if the key was used with other params, mandrill-email-failed while the mail of the first call is
    not sent; and what the work raises, after which nothing is stored.
    """

    async def work(db: Connection) -> Reply:
        [outcome] = await known(db, [claimed])
        if isinstance(outcome, Rejection):
            raise outcome
        if outcome:
            return outcome
        reply = await run(call._replace(db=Transaction(db)))
        await keep(db, [claimed], [reply])
        return reply

    return await call.db.transaction(work)


async def known(db: Connection, claims: Sequence[Claim | None]) -> list[Reply | Rejection | None]:
    """Claim what is claimed, and answer what is known of it; None for what is still to be done.

    In a transaction, at whose end the claims end.
    """
    keys = {claim.key: claim.lock for claim in claims if claim}
    if not keys:
        return [None] * len(claims)
    rows = await db.fetch(_SQL["claim"], [*keys], [*keys.values()])
    ours = {row["key"] for row in rows if row["is_ours"]}
    # A statement of its own: it has to see what twins committed before the claim.
    answers = {row["key"]: row for row in await db.fetch(_SQL["find"], [*ours])}
    return [claim and _outcome(claim, ours, answers.get(claim.key)) for claim in claims]


def _outcome(claim: Claim, ours: set[bytes], answer: Record | None) -> Reply | Rejection | None:
    """What was answered, as it is true by now: the mail may have been sent since, or not yet."""
    if claim.key not in ours:
        return Rejection(statuses.IDEMPOTENCY_CONFLICT)
    if answer is None:
        return None
    if answer["fingerprint"] != claim.params:
        return Rejection(statuses.IDEMPOTENCY_MISMATCH)
    data = orjson.loads(answer["answer"])
    if answer["mail_path"] is None:
        return Reply(data, REPLAYED)
    if answer["sent_at"]:
        return Reply(with_time(data, answer["mail_path"], answer["sent_at"]), REPLAYED)
    return Rejection(statuses.IDEMPOTENCY_CONFLICT if answer["awaited"] else FAILED)


async def keep(db: Connection, claims: Sequence[Claim | None], outcomes: Sequence[object]) -> None:
    """Keep the answers of what was done; refusals are not kept."""
    rows = [
        (*claim, orjson.dumps(outcome.data).decode(), *(outcome.mail or (None, None)))
        for claim, outcome in zip(claims, outcomes, strict=True)
        if claim and isinstance(outcome, Reply)
    ]
    if rows:
        await db.execute(_SQL["keep"], *map(list, zip(*rows, strict=True)))


async def sweep(pool: Pool) -> None:
    """Forget what is older than a day, over and over, until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        deadline = asyncio.get_running_loop().time() + SWEEP_TIMEOUT
        try:
            await Database(pool, deadline).run(lambda db: db.execute(_SQL["sweep"]))
        except (UnavailableError, *FAULTS) as error:
            _log.info("old idempotency keys stay for now: %s", type(error).__name__)
