"""What the authenticate stage needs of identity: a token's principal, and whether it expired."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from gateway import statuses
from gateway.identity import lifetime
from gateway.identity.last_use import LastUse
from gateway.identity.limits import Limits
from gateway.identity.token_cache import Principal
from gateway.identity.token_store import TokenStore
from gateway.values import Rejection, Session

_now = partial(datetime.now, UTC)


class Authenticator:
    """Identity as the pipeline sees it; `now` is the clock by which sessions expire."""

    def __init__(
        self,
        store: TokenStore,
        last_use: LastUse,
        limits: Limits,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.store = store
        self.last_use = last_use
        self.limits = limits
        self.now = now

    async def look_up(self, token: str, address: str, deadline: float = math.inf) -> Principal:
        """The session or application of a token; `deadline` is a time of the loop's clock.

        Raises Rejection (invalid-token; rate-limit-exceeded for an address that sends too many
        unknown tokens) and DatabaseUnavailable.
        """
        # Calls that share a look-up are one guess, and wait for no turn.
        if self.store.is_guess(token) and not self.store.is_loading(token):
            principal = await self._look_up_guess(token, address, deadline)
        else:
            principal = await self.store.find(token, deadline)
        if principal is None:
            raise Rejection(statuses.INVALID_TOKEN)
        return principal

    async def _look_up_guess(self, token: str, address: str, deadline: float) -> Principal | None:
        async with self.limits.guessing_token(address, deadline) as guess:
            # While this waited, another request may have had the same token looked up.
            is_guess = self.store.is_guess(token)
            principal = self.store.remembered(token) or await self.store.find(token, deadline)
            guess.is_wrong = is_guess and principal is None
            return principal

    def use(self, session: Session) -> Session | None:
        """The session after this use, which is written to the database later; None if it is over.

        A cached session does not have its last use in this worker, which also keeps it from
        expiring.
        """
        now = self.now()
        if lifetime.is_over(session, now) and lifetime.is_over(
            self.last_use.with_last_use(session), now
        ):
            return None
        self.last_use.touch(session, now)
        return session.used_at(now)

    async def reload(self, session: Session, token: str) -> Session:
        """The session with the roles that its user has now.

        Raises Rejection (invalid-token) and DatabaseUnavailable.
        """
        principal = await self.store.find(token)
        if not isinstance(principal, Session):
            raise Rejection(statuses.INVALID_TOKEN)
        return principal.used_at(session.last_used_at)
