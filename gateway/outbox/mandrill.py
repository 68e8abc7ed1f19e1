"""The transport for mail: Mandrill's API, and what its errors mean for a message.

Sources: https://mandrillapp.com/api/docs/messages.html and the code of the package
mandrill-really-maintained, which has no time-out and no retries, and whose exceptions do not carry
the name of the error.
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
from gateway.runtime.trace_context import outgoing

ERRORS = frozenset({*mandrill.ERROR_MAP, "GeneralError"})
"""The error names that Mandrill documents; any other text of a reply is neither kept nor shown."""

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
    "Invalid_Key": "Mandrill refuses the key of GATEWAY_MANDRILL_API_KEY.",
    "PaymentRequired": "Mandrill requires a payment before it sends.",
    "Unknown_Template": "Mandrill has no template with this slug.",
    "ValidationError": "Mandrill refuses the message as malformed.",
    "empty reply": "Mandrill did not report the outcome for the recipient.",
    "missing key": "GATEWAY_MANDRILL_API_KEY is not set.",
    "network": "Mandrill cannot be reached.",
    "no recipient": "The client has no e-mail address.",
    "timeout": "Mandrill did not answer in time.",
    "unexpected reply": "The reply is not one that Mandrill documents; check GATEWAY_MANDRILL_URL.",
    "unreadable message": "The message cannot be encoded as JSON.",
}
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)


class MailError(SendError):
    """A mail that was not sent.

    `name` is Mandrill's name of the error, a state and its reason such as `rejected: hard-bounce`,
    an HTTP status such as `HTTP 502`, or a key of `_SENTENCES`.
    """

    def __init__(self, name: str, *, transient: bool) -> None:
        text = _SENTENCES.get(name) or f"Mandrill did not accept the message: {name}."
        super().__init__(name, text, transient=transient)


class Mandrill:
    """A client of Mandrill's API, with its own threads.

    `timeout` is seconds to connect, and seconds without data while waiting for an answer. `url` is
    set for the whole process: the package keeps it in a global.
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
        """Send a mail of the outbox; return Mandrill's `_id`. Raises MailError."""
        return await self.send_message(Message(**payload), message_id)

    async def send_message(self, message: Message, message_id: str = "") -> str:
        """Send a message; return the `_id` that Mandrill gives it.

        `message_id` is sent as metadata, by which the message can be found at Mandrill. Raises
        MailError. After a cancellation the message may still be sent.
        """
        if not message.email:
            raise MailError("no recipient", transient=False)
        body = _body(message, message_id)
        reply = await self._run(
            lambda client: client.messages.send_template(message.template, [], body)
        )
        return _receipt(reply)

    async def ping(self) -> None:
        """Check that Mandrill answers and accepts the key. Raises MailError."""
        if await self._run(lambda client: client.users.ping()) != "PONG!":
            raise MailError("unexpected reply", transient=False)

    def close(self) -> None:
        """Stop the threads; waiting work is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    async def _run(self, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what JSON holds
        if not self._key:
            raise MailError("missing key", transient=False)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._perform, work, outgoing())

    def _perform(self, work: Callable[[Any], Any], trace: Mapping[str, str]) -> Any:  # noqa: ANN401
        client = self._client()
        client.session.headers.pop("tracestate", None)
        client.session.headers.pop("traceparent", None)
        client.session.headers.update(trace)
        try:
            return work(client)
        except Exception as error:  # noqa: BLE001 - the package lets anything through
            mail_error = _mail_error(error, client.last_request)
        finally:
            client.last_request = None
        # Outside of the handler, so that the package's exception, which may quote the message, does
        # not become the context of this one.
        raise mail_error

    def _client(self) -> Any:  # noqa: ANN401 - the package has no types
        """The client of the current thread: clients store their last request without a lock."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = mandrill.Mandrill(self._key)
            # A redirect would send the key to another server.
            client.session.request = partial(
                client.session.request, timeout=self._timeout, allow_redirects=False
            )
            self._sessions.append(client.session)
        return client


def _drop_record(_: object) -> bool:
    return False


# The package logs each request with the key and the content. A filter, since a later call of
# `setLevel` would undo a level.
mandrill.logger.addFilter(_drop_record)


def _body(message: Message, message_id: str) -> dict[str, Any]:
    variables = [{"name": name, "content": content} for name, content in message.merge.items()]
    return {
        "to": [{"email": message.email, "name": message.name, "type": "to"}],
        "global_merge_vars": variables,
        "tags": [message.template],
        "metadata": {"outbox": message_id},
    }


def _receipt(reply: object) -> str:
    """The `_id` of the message. Raises MailError unless Mandrill accepted its one recipient."""
    if reply == []:
        raise MailError("empty reply", transient=False)
    match reply:
        case [{"status": str(status), **fields}] if status in ACCEPTED:
            return str(fields.get("_id", ""))
        case [{"status": str(status), **fields}] if status in REFUSED:
            reason = fields.get("reject_reason")
            is_documented = isinstance(reason, str) and reason in REJECT_REASONS
            raise MailError(f"{status}: {reason}" if is_documented else status, transient=False)
    raise MailError("unexpected reply", transient=False)


def _mail_error(error: Exception, last_request: Mapping[str, Any] | None) -> MailError:
    """Translate an exception of the package; `last_request` is None if there was no reply."""
    if last_request is not None:
        return _error_of_reply(last_request["response"])
    if isinstance(error, requests.Timeout):
        return MailError("timeout", transient=True)
    if isinstance(error, OSError):
        return MailError("network", transient=True)
    return MailError("unreadable message", transient=False)


def _error_of_reply(response: requests.Response) -> MailError:
    status = response.status_code
    fallback = "unexpected reply" if status == requests.codes.ok else f"HTTP {status}"
    try:
        reply = response.json()
    except (ValueError, RecursionError):
        return MailError(fallback, transient=True)
    name = reply.get("name") if isinstance(reply, dict) else None
    is_documented = isinstance(name, str) and name in ERRORS
    is_transient = name in TRANSIENT if is_documented else status in _SERVER_ERRORS
    return MailError(
        str(name) if is_documented else fallback,
        transient=is_transient or status == _TOO_MANY_REQUESTS,
    )
