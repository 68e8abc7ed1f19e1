"""Mandrill: the one module that knows it, and what its faults mean for a message.

Sources: https://mandrillapp.com/api/docs/messages.html and the code of the package
mandrill-really-maintained, which has no timeout, no retry, and no name in its exceptions.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import mandrill
import requests

from gateway.outbox.transport import Message, SendError

ERRORS = frozenset({*mandrill.ERROR_MAP, "GeneralError"})
"""The names of errors that Mandrill documents; any other text of a reply is shown to nobody."""

TRANSIENT = frozenset({"GeneralError", "ServiceUnavailable"})
ACCEPTED = frozenset({"sent", "queued", "scheduled"})
REFUSED = frozenset({"rejected", "invalid"})
REJECT_REASONS = frozenset(
    {
        *("hard-bounce", "soft-bounce", "spam", "unsub", "custom", "invalid-sender", "invalid"),
        *("test-mode-limit", "unsigned", "rule"),
    }
)

_SENTENCES = {
    "Invalid_Key": "Mandrill does not know the key of GATEWAY_MANDRILL_API_KEY.",
    "PaymentRequired": "Mandrill asks for a payment before it sends.",
    "Unknown_Template": "Mandrill has no template of this slug.",
    "ValidationError": "Mandrill finds the message malformed.",
    "empty reply": "Mandrill did not say what became of the message.",
    "missing key": "GATEWAY_MANDRILL_API_KEY is not set.",
    "network": "Mandrill could not be reached.",
    "no recipient": "The client has no e-mail address.",
    "timeout": "Mandrill did not answer in time.",
    "unexpected reply": "What answered is not Mandrill, or not as it is documented.",
    "unreadable message": "The message cannot be written as JSON.",
}
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)


class MailError(SendError):
    """A mail that was not sent.

    `name` is Mandrill's name of the error, `rejected: hard-bounce` and the like, `HTTP 502`, or a
    key of this module's sentences.
    """

    def __init__(self, name: str, *, transient: bool) -> None:
        text = _SENTENCES.get(name) or f"Mandrill did not take the message: {name}."
        super().__init__(name, text, transient=transient)


class Mandrill:
    """A client of Mandrill's API, in so many threads of its own.

    `timeout` is seconds to connect, and seconds of silence while an answer is due. The address is
    one for the whole process: the package has no other place for it.
    """

    def __init__(
        self, key: str, url: str, *, threads: int = 8, timeout: tuple[float, float] = (3.05, 8.0)
    ) -> None:
        mandrill.ROOT = url.rstrip("/") + "/"
        self._key = key
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(threads, "mail")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Send a mail of the outbox. Raises MailError."""
        return await self.send_message(Message(**payload), message_id)

    async def send_message(self, message: Message, message_id: str = "") -> str:
        """Send a message; answer the `_id` that Mandrill gives it.

        `message_id` is shown beside it at Mandrill, so that a message can be found there.
        Raises MailError. One that is cancelled may have been sent all the same.
        """
        if not message.email:
            raise MailError("no recipient", transient=False)
        body = _body(message, message_id)
        reply = await self._run(
            lambda client: client.messages.send_template(message.template, [], body)
        )
        return _id_of(reply)

    async def ping(self) -> None:
        """Whether Mandrill answers and knows the key. Raises MailError if not."""
        if await self._run(lambda client: client.users.ping()) != "PONG!":
            raise MailError("unexpected reply", transient=False)

    def close(self) -> None:
        """Let the threads end; what waits for one is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    async def _run(self, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what JSON holds
        if not self._key:
            raise MailError("missing key", transient=False)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self._perform(work))

    def _perform(self, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        client = self._client()
        try:
            return work(client)
        except Exception as error:  # noqa: BLE001 - the package lets anything through
            fault = _fault(error, client.last_request)
        finally:
            client.last_request = None
        # Only here: an exception of the package, which may quote a message, is no context of ours.
        raise fault

    def _client(self) -> Any:  # noqa: ANN401 - the package has no types
        """The client of the thread that asks: one remembers its last request without a lock."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = mandrill.Mandrill(self._key)
            # A redirect would carry the key to wherever it points.
            client.session.request = partial(
                client.session.request, timeout=self._timeout, allow_redirects=False
            )
            self._sessions.append(client.session)
        return client


def _nothing(_: object) -> bool:
    return False


# The package logs each request, key and content included. A filter outlives a level set anew.
mandrill.logger.addFilter(_nothing)


def _body(message: Message, message_id: str) -> dict[str, Any]:
    variables = [{"name": name, "content": content} for name, content in message.merge.items()]
    return {
        "to": [{"email": message.email, "name": message.name, "type": "to"}],
        "global_merge_vars": variables,
        "tags": [message.template],
        "metadata": {"outbox": message_id},
    }


def _id_of(reply: object) -> str:
    """What became of the only recipient. Raises MailError unless the message is on its way."""
    if reply == []:
        raise MailError("empty reply", transient=False)
    match reply:
        case [{"status": str(status), **rest}] if status in ACCEPTED:
            return str(rest.get("_id", ""))
        case [{"status": str(status), **rest}] if status in REFUSED:
            reason = rest.get("reject_reason")
            known = isinstance(reason, str) and reason in REJECT_REASONS
            raise MailError(f"{status}: {reason}" if known else status, transient=False)
    raise MailError("unexpected reply", transient=False)


def _fault(error: Exception, last_request: Mapping[str, Any] | None) -> MailError:
    """What a call that raised means; `last_request` is the client's, None without a reply."""
    if last_request is not None:
        return _fault_of_reply(last_request["response"])
    if isinstance(error, requests.Timeout):
        return MailError("timeout", transient=True)
    if isinstance(error, OSError):
        return MailError("network", transient=True)
    return MailError("unreadable message", transient=False)


def _fault_of_reply(response: requests.Response) -> MailError:
    status = response.status_code
    other = "unexpected reply" if status == requests.codes.ok else f"HTTP {status}"
    try:
        reply = response.json()
    except (ValueError, RecursionError):
        return MailError(other, transient=True)
    name = reply.get("name") if isinstance(reply, dict) else None
    documented = isinstance(name, str) and name in ERRORS
    passing = name in TRANSIENT if documented else status in _SERVER_ERRORS
    return MailError(
        str(name) if documented else other, transient=passing or status == _TOO_MANY_REQUESTS
    )
