"""The transport for notifications: a webhook, signed after https://www.standardwebhooks.com."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import requests

from gateway.outbox.transport import SendError
from gateway.runtime.setting_values import WEBHOOK_SECRET_PREFIX
from gateway.runtime.trace_context import outgoing

TIMEOUT = (3.05, 10.0)
"""Seconds to connect, and seconds without data while waiting for an answer."""

THREADS = 2


class Webhook:
    """Posts events to one URL.

    A secret that begins with `whsec_` is base64, as receivers' libraries create it; any other one
    is used as it is. An empty one turns signing off.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._key = signing_key(secret)
        self._threads = ThreadPoolExecutor(THREADS, "webhook")

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Post an event; the receipt is the HTTP status. Raises SendError."""
        if not self._url:
            raise SendError("no address", "GATEWAY_WEBHOOK_URL is not set.", transient=False)
        loop = asyncio.get_running_loop()
        body = orjson.dumps(payload)
        return await loop.run_in_executor(self._threads, self._post, message_id, body, outgoing())

    def close(self) -> None:
        """Stop the threads; waiting work is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _post(self, message_id: str, body: bytes, trace: Mapping[str, str]) -> str:
        now = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": now,
            **trace,
            **({"webhook-signature": sign(self._key, message_id, now, body)} if self._key else {}),
        }
        try:
            # Streamed and left unread: only the status counts. Redirects are refused, since they
            # could lead to any server.
            with requests.post(
                self._url,
                body,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
        except Exception as error:  # noqa: BLE001 - the package lets anything through
            # The error's text quotes the URL, which may contain a secret.
            text = f"The webhook cannot be reached: {type(error).__name__}."
            raise SendError("network", text, transient=True) from None
        if status // 100 != 2:  # noqa: PLR2004 - 2xx is success
            text = f"The webhook answered with HTTP {status}."
            # With 410 a receiver says that it wants no more events (Standard Webhooks).
            raise SendError(f"HTTP {status}", text, transient=status != requests.codes.gone)
        return f"HTTP {status}"


def signing_key(secret: str) -> bytes:
    """The signing key for the secret in the settings."""
    if secret.startswith(WEBHOOK_SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX))
    return secret.encode()


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
