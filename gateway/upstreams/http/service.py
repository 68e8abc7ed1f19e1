"""One http service: performs calls by attempts at its endpoints, and retries what is safe."""

import asyncio

from gateway import statuses
from gateway.registry.http_record import Upstream
from gateway.runtime.http_client import HttpClient
from gateway.runtime.service_usage import (
    EJECTED,
    UNSIGNED,
    EndpointTotals,
    EndpointUsage,
    ServiceUsage,
)
from gateway.runtime.timeout import Timeout
from gateway.upstreams.call import Call
from gateway.upstreams.http.attempt import Attempt, Failure
from gateway.upstreams.http.balance import pick
from gateway.upstreams.http.budget import RetryBudget
from gateway.upstreams.http.bulkhead import Bulkhead, FullError
from gateway.upstreams.http.departure import Departure
from gateway.upstreams.http.endpoints import Endpoints
from gateway.upstreams.http.message import Message
from gateway.upstreams.http.retry import may_retry
from gateway.upstreams.http.target import Target, Totals
from gateway.values import Rejection, Reply

NOT_TRIED = Failure("no endpoint answers", is_sent=False)


class HttpService:
    """The action of all routes of one service of `kind: http`."""

    def __init__(self, name: str, client: HttpClient, max_in_flight: int) -> None:
        self._name = name
        self._client = client
        self._bulkhead = Bulkhead(max_in_flight)
        self._budget = RetryBudget()
        self._retries = 0
        self.endpoints = Endpoints(name, client)

    def update(self, upstream: Upstream, key: bytes) -> None:
        """Call the service in this way from now on; without a key no call is sent."""
        self._upstream = upstream
        self._key = key
        self.endpoints.update(upstream)

    async def perform(self, call: Call) -> Reply:
        """See `Action.perform`.

        Raises Rejection: a documented status of the service; service-unavailable if the call could
        not be sent, or if its outcome is unknown. Raises ServiceAnswerError for an answer that the
        route does not document, and ClientDisconnectedError.
        """
        if not self._key:
            raise self._unavailable(f"cannot be called: {UNSIGNED}. Nothing was sent.")
        self._budget.deposit()
        message = Message(call)
        with Departure(call):
            await self._enter(call.deadline)
            try:
                outcome = await self._run(call, message)
            finally:
                self._bulkhead.leave()
        if isinstance(outcome, Failure):
            raise self._rejection(outcome)
        if isinstance(outcome, Rejection):
            raise outcome
        return outcome

    async def _enter(self, deadline: float) -> None:
        try:
            await self._bulkhead.enter(deadline)
        except FullError:
            text = "is busy: too many calls wait for it. Nothing was sent."
            raise self._unavailable(text) from None

    async def _run(self, call: Call, message: Message) -> Reply | Rejection | Failure:
        """Attempts, until one is answered or no other may follow."""
        await self._wait_resolved(call.deadline)
        tried: list[Target] = []
        outcome: Reply | Rejection | Failure = NOT_TRIED
        while isinstance(outcome, Failure):
            picked = self._pick(tried)
            seconds = call.deadline - asyncio.get_running_loop().time()
            if picked is None or seconds <= 0:
                break
            if tried and not self._may_retry(message, outcome, len(tried)):
                break
            target, is_probe = picked
            tried.append(target)
            seconds = min(seconds, self._upstream.timeout)
            attempt = Attempt(call, message, target, is_probe, self._key, seconds)
            outcome = await attempt.run(self._client, self.endpoints)
        return outcome

    async def _wait_resolved(self, deadline: float) -> None:
        if not self.endpoints.targets:
            try:
                with Timeout(deadline):
                    await self.endpoints.wait_resolved()
            except TimeoutError:
                return

    def _pick(self, tried: list[Target]) -> tuple[Target, bool] | None:
        now = asyncio.get_running_loop().time()
        # Health checks, if there are any, are the probes.
        may_probe = self._upstream.health is None
        return pick(self.endpoints.targets, tried, now, may_probe=may_probe)

    def _may_retry(self, message: Message, failure: Failure, attempts: int) -> bool:
        is_safe = may_retry(failure, is_repeatable=message.is_repeatable)
        if attempts > self._upstream.retries or not is_safe or not self._budget.withdraw():
            return False
        self._retries += 1
        return True

    def _rejection(self, failure: Failure) -> Rejection:
        if not failure.is_sent:
            return self._unavailable(f"cannot be reached: {failure.reason}. Nothing was sent.")
        return self._unavailable(
            f"did not complete the call: {failure.reason}. The outcome of this call is unknown.",
            failure.retry_after,
        )

    def _unavailable(self, text: str, retry_after: int | None = None) -> Rejection:
        message = f"The service {self._name} {text}"
        return Rejection(statuses.SERVICE_UNAVAILABLE, message, retry_after=retry_after)

    def usage(self) -> ServiceUsage:
        """How this worker uses the service now."""
        return ServiceUsage(
            name=self._name,
            in_flight=self._bulkhead.in_flight,
            waiting=self._bulkhead.waiting,
            retries=self._retries,
            shed=self._bulkhead.shed,
            endpoints=[*map(self._usage, self.endpoints.targets), *self._without_addresses()],
            totals={url: _totals(each) for url, each in self.endpoints.totals.items()},
        )

    def _usage(self, target: Target) -> EndpointUsage:
        problem = EJECTED if target.ejector.is_ejected else ""
        return EndpointUsage(
            endpoint=target.key.endpoint,
            address=target.key.address,
            problem=problem if self._key else UNSIGNED,
            in_flight=target.in_flight,
            latency=target.latency,
            ejections=target.ejector.ejections,
        )

    def _without_addresses(self) -> list[EndpointUsage]:
        """The endpoints that calls cannot be sent to, or not to all of their addresses."""
        return [
            EndpointUsage(url, "", problem, in_flight=0, latency=None, ejections=0)
            for url, problem in self.endpoints.problems.items()
        ]


def _totals(totals: Totals) -> EndpointTotals:
    attempts = {str(outcome): count for outcome, count in totals.attempts.items()}
    return EndpointTotals(attempts, totals.seconds, totals.ejections)
