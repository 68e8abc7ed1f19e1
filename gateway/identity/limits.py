"""Rate limits: calls of a route, guesses of passwords, guesses of tokens."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway import statuses
from gateway.edge import addresses
from gateway.identity.counts import Counts
from gateway.registry.records import Route
from gateway.values import Caller, Rate, Rejection

HOUR = 60 * 60
QUARTER_HOUR = 15 * 60
MINUTE = 60
RESETS_OF_ACCOUNT = Rate(calls=5, seconds=HOUR)
RESETS_FROM_ADDRESS = Rate(calls=50, seconds=HOUR)
"""How many password reset links may be requested."""

WRONG_GUESS = frozenset(("email-not-found", "invalid-password"))
"""The statuses of a password that was guessed wrong."""


class Limits:
    """The limits of one worker; how many guesses and tokens are allowed are settings.

    A refused call is not counted, so a client that waits as long as `Retry-After` says gets in.
    """

    def __init__(
        self, counts: Counts, *, account_guesses: int, address_guesses: int, unknown_tokens: int
    ) -> None:
        self.counts = counts
        self._account = Rate(calls=account_guesses, seconds=QUARTER_HOUR)
        self._address = Rate(calls=address_guesses, seconds=QUARTER_HOUR)
        self._tokens = Rate(calls=unknown_tokens, seconds=MINUTE)

    def count_call(self, route: Route, caller: Caller, address: str) -> None:
        """Count a call of a route that has a limit. Raises Rejection: rate-limit-exceeded."""
        if route.rate_limit:
            key = f"route:{route.name}:{_caller_key(caller, address)}"
            _refuse(self.counts.take(key, route.rate_limit))

    @contextmanager
    def guessing(self, address: str, account: str) -> Iterator[None]:
        """Wrap the check of a password; a Rejection with a status of `WRONG_GUESS` is a guess.

        A guess is counted before it is checked, so that parallel guesses do not pass the limit.
        Raises Rejection: rate-limit-exceeded.
        """
        taken = []
        is_wrong = False
        try:
            for key, rate in (
                (f"account:{account.lower()}", self._account),
                (_address_key("password", address), self._address),
            ):
                _refuse(self.counts.take(key, rate))
                taken.append((key, rate))
            yield
        except Rejection as rejection:
            is_wrong = rejection.slug in WRONG_GUESS
            raise
        finally:
            for key, rate in () if is_wrong else taken:
                self.counts.give_back(key, rate)

    def count_reset(self, address: str, account: str) -> None:
        """Count a request for a password reset link, whether the account exists or not.

        Raises Rejection: rate-limit-exceeded.
        """
        _refuse(self.counts.take(_address_key("reset", address), RESETS_FROM_ADDRESS))
        _refuse(self.counts.take(f"reset:{account.lower()}", RESETS_OF_ACCOUNT))

    def refuse_guesser(self, address: str) -> None:
        """Refuse an address that sent too many unknown tokens. Raises Rejection."""
        _refuse(self.counts.is_reached(_address_key("token", address), self._tokens))

    def count_unknown_token(self, address: str) -> None:
        """Count a token that does not exist."""
        self.counts.take(_address_key("token", address), self._tokens)


def _refuse(seconds: int) -> None:
    if seconds:
        raise Rejection(statuses.RATE_LIMIT_EXCEEDED, retry_after=seconds)


def _address_key(kind: str, address: str) -> str:
    return f"{kind}:{addresses.client_network(address)}"


def _caller_key(caller: Caller, address: str) -> str:
    """The session or token by its id; on a public route the address."""
    if caller.session:
        return f"session:{caller.session.id}"
    if caller.application:
        return f"token:{caller.application.token_id}"
    return _address_key("address", address)
