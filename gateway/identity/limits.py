"""What is limited: calls of a route, guesses of passwords and of tokens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gateway import statuses
from gateway.edge import addresses
from gateway.identity.counts import Counts
from gateway.registry.records import Route
from gateway.values import Caller, Rate, Rejection

QUARTER = 15 * 60
MINUTE = 60
WRONG = frozenset(("email-not-found", "invalid-password"))


class Limits:
    """The limits of one worker; the numbers are settings.

    What is refused is not counted, so that whoever waits as long as `Retry-After` says gets in.
    """

    def __init__(self, counts: Counts, most: Mapping[str, int]) -> None:
        self.counts = counts
        self._account = Rate(most["account"], QUARTER)
        self._address = Rate(most["address"], QUARTER)
        self._tokens = Rate(most["tokens"], MINUTE)

    def call(self, route: Route, caller: Caller, address: str) -> None:
        """Count a call of a route that has a limit. Raises Rejection: rate-limit-exceeded."""
        if route.rate_limit:
            key = f"route:{route.name}:{_who(caller, address)}"
            _refuse(self.counts.take(key, route.rate_limit))

    @contextmanager
    def guessing(self, address: str, account: str) -> Iterator[None]:
        """Around the check of a password: what it refuses with a status of `WRONG` was a guess.

        It counts before it is checked, so that many at once get no further than one by one.
        Raises Rejection: rate-limit-exceeded.
        """
        taken = []
        wrong = False
        try:
            for key, rate in (
                (f"account:{account.lower()}", self._account),
                (_of_address("password", address), self._address),
            ):
                _refuse(self.counts.take(key, rate))
                taken.append((key, rate))
            yield
        except Rejection as rejection:
            wrong = rejection.slug in WRONG
            raise
        finally:
            for key, rate in () if wrong else taken:
                self.counts.give_back(key, rate)

    def before_look_up(self, address: str) -> None:
        """Refuse an address that sent too many unknown tokens. Raises Rejection."""
        _refuse(self.counts.is_reached(_of_address("token", address), self._tokens))

    def was_unknown(self, address: str) -> None:
        """Count a token that nobody has."""
        self.counts.take(_of_address("token", address), self._tokens)


def _refuse(seconds: int) -> None:
    if seconds:
        raise Rejection(statuses.RATE_LIMIT_EXCEEDED, retry_after=seconds)


def _of_address(what: str, address: str) -> str:
    return f"{what}:{addresses.client_network(address)}"


def _who(caller: Caller, address: str) -> str:
    """The token, by its id; on a public route the address."""
    if caller.session:
        return f"session:{caller.session.id}"
    if caller.application:
        return f"token:{caller.application.token_id}"
    return f"address:{addresses.client_network(address)}"
