"""The webhook that hears of notifications: signed as https://www.standardwebhooks.com says."""

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
from gateway.settings import WEBHOOK_SECRET_PREFIX

TIMEOUT = (3.05, 10.0)
"""Seconds to connect, and of silence while an answer is due."""

THREADS = 2


class Webhook:
    """Posts events to one address.

    A secret that begins with `whsec_` is base64, as receivers' libraries make it; any other one is
    taken as it is.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._key = key_of(secret)
        self._threads = ThreadPoolExecutor(THREADS, "webhook")

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Post an event; the receipt is the HTTP status. Raises SendError."""
        if not self._url:
            raise SendError("no address", "GATEWAY_WEBHOOK_URL is not set.", transient=False)
        loop = asyncio.get_running_loop()
        body = orjson.dumps(payload)
        return await loop.run_in_executor(self._threads, self._post, message_id, body)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _post(self, message_id: str, body: bytes) -> str:
        now = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": now,
            **({"webhook-signature": sign(self._key, message_id, now, body)} if self._key else {}),
        }
        try:
            # Streamed and left unread: only the status counts. A redirect could lead anywhere.
            with requests.post(
                self._url,
                body,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status = answer.status_code
        except Exception as error:  # noqa: BLE001 - the package lets anything through
            # Its own text quotes the address, which may hold a secret.
            text = f"The webhook cannot be reached: {type(error).__name__}."
            raise SendError("network", text, transient=True) from None
        if status // 100 != 2:  # noqa: PLR2004 - 2xx is success
            text = f"The webhook answered with HTTP {status}."
            # 410 is how a receiver says that it wants no more (Standard Webhooks).
            raise SendError(f"HTTP {status}", text, transient=status != requests.codes.gone)
        return f"HTTP {status}"


def key_of(secret: str) -> bytes:
    """The key of a secret of the settings."""
    if secret.startswith(WEBHOOK_SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX))
    return secret.encode()


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The header `webhook-signature` of a message."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
