"""One attempt at a call: one request to one target, and what its answer means for both."""

import asyncio
from typing import NamedTuple

from gateway.runtime.http_client import HttpAnswer, HttpClient, HttpError, HttpRequest
from gateway.runtime.tracing import spans
from gateway.upstreams.call import Call
from gateway.upstreams.http import answer as answers
from gateway.upstreams.http.answer import UnavailableAnswerError
from gateway.upstreams.http.endpoints import Endpoints
from gateway.upstreams.http.message import Message
from gateway.upstreams.http.target import Outcome, Target
from gateway.values import Rejection, Reply, ServiceAnswerError

MAX_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer: parsing more would hold the event loop for too long."""


class Failure(NamedTuple):
    """The call got no answer that says what happened; `reason` is a clause for people."""

    reason: str
    is_sent: bool
    retry_after: int | None = None


class Attempt(NamedTuple):
    """An attempt at a target, which may take so many `seconds`; `key` signs it."""

    call: Call
    message: Message
    target: Target
    is_probe: bool
    key: bytes
    seconds: float

    async def run(self, client: HttpClient, endpoints: Endpoints) -> Reply | Rejection | Failure:
        """What the target answered, counted for it. Raises ServiceAnswerError."""
        loop = asyncio.get_running_loop()
        target, started = self.target, loop.time()
        outcome: Outcome = "cancelled"
        target.in_flight += 1
        if self.is_probe:
            target.ejector.is_probed = True
        try:
            result = await self._outcome(client, endpoints)
            outcome = "unavailable" if isinstance(result, Failure) else "answered"
        except ServiceAnswerError:
            outcome = "undocumented"
            raise
        finally:
            target.in_flight -= 1
            if self.is_probe:
                target.ejector.is_probed = False
            target.count(outcome, loop.time() - started)
        return result

    async def _outcome(
        self, client: HttpClient, endpoints: Endpoints
    ) -> Reply | Rejection | Failure:
        try:
            answer = await self._send(client)
        except HttpError as error:
            if error.kind == "too-large":
                endpoints.note_success(self.target)
            else:
                endpoints.note_failure(self.target, str(error), is_probe=self.is_probe)
            if error.kind in {"too-large", "malformed"}:
                raise answers.unreadable(self.call, str(error)) from None
            return Failure(str(error), error.is_sent)
        return self._read(answer, endpoints)

    async def _send(self, client: HttpClient) -> HttpAnswer:
        """The answer to the request, in a span. Raises HttpError."""
        target, message = self.target, self.message
        deadline = asyncio.get_running_loop().time() + self.seconds
        host, port = target.peer
        with spans.http_request("POST", host, port, message.path) as span:
            headers = message.headers(target.host, self.key, self.seconds)
            request = HttpRequest(
                method="POST",
                url=target.at(message.path),
                headers=headers,
                body=message.body,
                server_name=target.server_name,
                max_answer=MAX_ANSWER,
            )
            try:
                answer = await client.send(request, deadline)
            except HttpError as error:
                span.error_type = error.kind
                raise
            spans.note_answer(span, answer.status)
            return answer

    def _read(self, answer: HttpAnswer, endpoints: Endpoints) -> Reply | Rejection | Failure:
        try:
            result = answers.read(answer, self.call)
        except UnavailableAnswerError as error:
            endpoints.note_failure(self.target, str(error), is_probe=self.is_probe)
            return Failure(str(error), is_sent=True, retry_after=error.retry_after)
        except ServiceAnswerError:
            endpoints.note_success(self.target)
            raise
        if answers.is_fault(answer, result):
            reason = f"it answered HTTP {answer.status}"
            endpoints.note_failure(self.target, reason, is_probe=self.is_probe)
        else:
            endpoints.note_success(self.target)
        return result
