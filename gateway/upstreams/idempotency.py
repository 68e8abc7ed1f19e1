"""Idempotency keys: a repeated call gets the stored answer, and its work is not done again.

The claim is a lock in the transaction of the service's own work, and the answer is stored in it.
So wherever a process dies, there is no claim without the work, and no work without its answer.
"""

from collections.abc import Awaitable, Callable, Container, Sequence

import orjson
from asyncpg import Record

from gateway import statuses
from gateway.database.connect import Connection
from gateway.database.handle import Database, Transaction
from gateway.database.sql import load_queries
from gateway.outbox.mailer import with_time
from gateway.upstreams.action import wrong_reply
from gateway.upstreams.call import Call
from gateway.upstreams.claims import Claim
from gateway.values import Rejection, Reply

REPLAYED = {"Idempotent-Replayed": "true"}

_SQL = load_queries(__file__)


async def run_once(call: Call, claim: Claim, action: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Run an action and store its answer in one transaction, or return the stored answer.

    Raises Rejection: idempotency-conflict while a call with the same key runs, idempotency-mismatch
    if the key was used with other params, mandrill-email-failed while the mail of the first call is
    not sent; and what the action raises, after which nothing is stored.
    """

    async def work(db: Connection) -> Reply:
        [outcome] = await claim_or_replay(db, [claim])
        if isinstance(outcome, Rejection):
            raise outcome
        if outcome:
            return outcome
        reply = await action(call._replace(db=Transaction(db)))
        if not isinstance(reply, Reply):
            # Here and not in dispatch, so that the work is rolled back.
            raise wrong_reply(call.route.handler, reply)
        await store(db, [claim], [reply])
        return reply

    return await call.db.transaction(work)


async def claim_or_replay(
    db: Connection, claims: Sequence[Claim | None]
) -> list[Reply | Rejection | None]:
    """Take the claims; return for each the stored answer or a refusal, None if the work is new.

    It must run in a transaction; the claims end with it.
    """
    locks = {claim.key: claim.lock for claim in claims if claim}
    if not locks:
        return [None] * len(claims)
    rows = await db.fetch(_SQL["claim"], [*locks], [*locks.values()])
    ours = {row["key"]: locks[row["key"]] for row in rows if row["is_ours"]}
    # A second statement, since it must see what other calls committed before the claim.
    found = await db.fetch(_SQL["find"], [*ours], [*ours.values()])
    answers = {row["key"]: row for row in found}
    if answers:
        # A commit that was given up while it waited for its standby is visible all the same. Its
        # answer must not be given again before a standby has it, and a commit waits only if it
        # writes.
        await db.execute(_SQL["wait_for_standbys"])
    return [claim and _outcome(claim, ours, answers.get(claim.key)) for claim in claims]


def _outcome(
    claim: Claim, ours: Container[bytes], answer: Record | None
) -> Reply | Rejection | None:
    """The stored answer, brought up to date: its mail may have been sent since, or not yet."""
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
    slug = statuses.IDEMPOTENCY_CONFLICT if answer["awaited"] else statuses.MANDRILL_EMAIL_FAILED
    return Rejection(slug)


async def store(db: Connection, claims: Sequence[Claim | None], outcomes: Sequence[object]) -> None:
    """Store the replies under their claims; refusals are not stored."""
    rows = [
        (
            claim.key,
            claim.lock,
            claim.params,
            orjson.dumps(outcome.data).decode(),
            *(outcome.mail or (None, None)),
        )
        for claim, outcome in zip(claims, outcomes, strict=True)
        if claim and isinstance(outcome, Reply)
    ]
    if rows:
        await db.execute(_SQL["store"], *map(list, zip(*rows, strict=True)))


async def sweep(database: Database) -> bool:
    """Empty one of the tables whose answers have all expired; return whether there was one."""
    [row] = await database.fetch(_SQL["sweep"])
    is_emptied: bool = row["is_emptied"]
    return is_emptied
