"""Idempotency keys: a call that is repeated is answered again, and not done again.

The claim is a lock inside the transaction of the service's own work, so that there is no claim
without work and no work without its answer, wherever a process dies.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import orjson
from asyncpg import Record

from gateway.database.pool import FAULTS, Connection, Pool, UnavailableError
from gateway.database.sql import load_queries
from gateway.database.work import Within, Work
from gateway.mail.outgoing import FAILED, with_time
from gateway.values import Call, Reject, Reply, Request

HEADER = b"idempotency-key"
ATTR = "Idempotency-Key"
LONGEST = 255
REPLAYED = {"Idempotent-Replayed": "true"}

SWEEP_EVERY = 600.0
SWEEP_WITHIN = 30.0

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

    Raises Reject: missing-param, invalid-param.
    """
    if call.route.idempotency == "off":
        return None
    given = request.headers.get(HEADER)
    if given is None:
        if call.route.idempotency == "required":
            raise Reject("missing-param", errors=[Reject.error(ATTR, "missing")])
        return None
    if not 1 <= len(given) <= LONGEST:
        message = f"must have 1 to {LONGEST} characters"
        raise Reject("invalid-param", errors=[Reject.error(ATTR, message)])
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
    """Do the work of a call with its answer in one transaction, or answer what was answered.

    Raises Reject: idempotency-conflict while a twin is at work, idempotency-mismatch where the key
    was used with other params, mandrill-email-failed while the mail of the work is not sent; and
    what the work raises, after which nothing is kept.
    """

    async def work(db: Connection) -> Reply:
        if not await db.fetchval(_SQL["claim"], claimed.lock):
            raise Reject("idempotency-conflict")
        known = await db.fetchrow(_SQL["find"], claimed.key)
        if known and known["fingerprint"] != claimed.params:
            raise Reject("idempotency-mismatch")
        if known:
            return _again(known)
        reply = await run(call._replace(db=Within(db)))
        answer = orjson.dumps(reply.data).decode()
        mail = reply.mail or (None, None)
        await db.execute(_SQL["keep"], claimed.key, claimed.params, answer, *mail)
        return reply

    return await call.db.transaction(work)


def _again(known: Record) -> Reply:
    """What was answered, as it is true by now: the mail may have been sent since, or not yet."""
    data = orjson.loads(known["answer"])
    if known["mail_path"] is None:
        return Reply(data, REPLAYED)
    if known["sent_at"]:
        return Reply(with_time(data, known["mail_path"], known["sent_at"]), REPLAYED)
    raise Reject("idempotency-conflict" if known["awaited"] else FAILED)


async def sweep(pool: Pool) -> None:
    """Forget what is older than a day, over and over, until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        deadline = asyncio.get_running_loop().time() + SWEEP_WITHIN
        try:
            await Work(pool, deadline).run(lambda db: db.execute(_SQL["sweep"]))
        except (UnavailableError, *FAULTS) as error:
            _log.info("old idempotency keys stay for now: %s", type(error).__name__)
