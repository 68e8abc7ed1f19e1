"""Rate limits: calls of a route, guesses of passwords, guesses of tokens."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from gateway import statuses
from gateway.edge import addresses
from gateway.identity import emails
from gateway.identity.counts import Counts
from gateway.identity.turns import Turns
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

CHECK_SECONDS = 1
"""Seconds to wait for guesses that are being checked: a burst of right passwords must not wait for
a quarter of an hour."""

MAX_LOOKUPS = 10
"""Tokens of one address that may be guesses and are looked up at once."""

KnownAddresses: TypeAlias = Callable[[], Awaitable[Iterable[str]]]
"""Reads the addresses from which an account was used lately; none for an unknown account."""


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
        self._token_turns = Turns(min(MAX_LOOKUPS, unknown_tokens))
        self._unchecked: Counter[str] = Counter()

    def count_call(self, route: Route, caller: Caller, address: str) -> None:
        """Count a call of a route that has a limit. Raises Rejection: rate-limit-exceeded."""
        if route.rate_limit:
            key = f"route:{route.name}:{_caller_key(caller, address)}"
            _refuse(self.counts.take(key, route.rate_limit))

    @asynccontextmanager
    async def guessing(
        self, address: str, account: str, known_addresses: KnownAddresses
    ) -> AsyncIterator[None]:
        """Wrap the check of a password; a Rejection with a status of `WRONG_GUESS` is a guess.

        `account` is an e-mail address. A guess is counted before it is checked, so that parallel
        guesses do not pass the limit. Guesses of others do not lock the owner out: above the
        account's limit, each network of `known_addresses` has a count of its own.
        Raises Rejection: rate-limit-exceeded.
        """
        with self._guess((_address_key("password", address), self._address)) as guess:
            key = f"account:{emails.fold(account)}"
            wait = guess.take(key, self._account)
            if wait:
                if not await self._is_known(address, known_addresses):
                    _refuse(wait)
                network = addresses.client_network(address)
                _refuse(guess.take(f"{key}:{network}", self._account))
            yield

    @contextmanager
    def guessing_own(self, address: str, user_id: int) -> Iterator[None]:
        """As `guessing`, for the password of the user whose session calls: with its own count."""
        own = f"own:{user_id}", self._account
        with self._guess((_address_key("password", address), self._address), own):
            yield

    @contextmanager
    def _guess(self, *limits: tuple[str, Rate]) -> Iterator["_Guess"]:
        guess = _Guess(self.counts, self._unchecked)
        is_wrong = False
        try:
            for key, rate in limits:
                _refuse(guess.take(key, rate))
            yield guess
        except Rejection as rejection:
            is_wrong = rejection.slug in WRONG_GUESS
            raise
        finally:
            guess.end(is_wrong=is_wrong)

    async def _is_known(self, address: str, known_addresses: KnownAddresses) -> bool:
        """Whether an account was used from this network; asked for a limited number of times."""
        if self.counts.take(_address_key("known", address), self._address):
            return False
        network = addresses.client_network(address)
        return network in map(addresses.client_network, await known_addresses())

    def count_reset(self, address: str, account: str) -> None:
        """Count a request for a password reset link, whether the account exists or not.

        Raises Rejection: rate-limit-exceeded.
        """
        _refuse(self.counts.take(_address_key("reset", address), RESETS_FROM_ADDRESS))
        _refuse(self.counts.take(f"reset:{emails.fold(account)}", RESETS_OF_ACCOUNT))

    @asynccontextmanager
    async def guessing_token(
        self, address: str, deadline: float = math.inf
    ) -> AsyncIterator["TokenGuess"]:
        """Wrap the look-up of a token that may be a guess; set `is_wrong` if it does not exist.

        Only a few tokens of an address are looked up at the same time, and others wait. So wrong
        tokens are counted before the next ones are looked up; and valid tokens, as most are that a
        worker does not know, are never refused for being many. `deadline` is a time of the loop's
        clock. Raises Rejection: rate-limit-exceeded, or service-unavailable after too long a wait.
        """
        key = _address_key("token", address)
        guess = TokenGuess()
        _refuse(self.counts.is_reached(key, self._tokens))
        async with self._token_turns.turn(key, deadline):
            _refuse(self.counts.is_reached(key, self._tokens))
            try:
                yield guess
            finally:
                if guess.is_wrong:
                    self.counts.take(key, self._tokens)


class TokenGuess:
    """A token that is looked up; `is_wrong` once it is known not to exist."""

    is_wrong = False


class _Guess:
    """What one guess of a password has counted so far.

    `unchecked` has the number of guesses that are being checked, by the keys that they count for.
    """

    def __init__(self, counts: Counts, unchecked: Counter[str]) -> None:
        self._counts = counts
        self._unchecked = unchecked
        self._taken: list[tuple[str, Rate]] = []

    def take(self, key: str, rate: Rate) -> int:
        """As `Counts.take`; but a short wait while other guesses are checked: they may be right."""
        seconds = self._counts.take(key, rate)
        if seconds and self._unchecked[key]:
            return CHECK_SECONDS
        if not seconds:
            self._taken.append((key, rate))
            self._unchecked[key] += 1
        return seconds

    def end(self, *, is_wrong: bool) -> None:
        """The guess has ended; it counts only if it was wrong."""
        for key, rate in self._taken:
            self._unchecked[key] -= 1
            if not self._unchecked[key]:
                del self._unchecked[key]
            if not is_wrong:
                self._counts.give_back(key, rate)


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
