"""The transport for notifications: a webhook, signed after https://www.standardwebhooks.com."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from yarl import URL

from gateway.outbox.transport import SendError
from gateway.runtime.http_client import HttpClient, HttpError, HttpRequest
from gateway.runtime.signature import signed_headers, signing_key
from gateway.runtime.trace_context import outgoing

TIMEOUT = 10.0
"""Seconds until an answer's head."""

_SUCCESS = range(200, 300)


class Webhook:
    """Posts events to one URL.

    A secret that begins with `whsec_` is base64, as receivers' libraries create it; any other one
    is used as it is. An empty one turns signing off.
    """

    def __init__(self, url: str, secret: str, client: HttpClient) -> None:
        self._url = url
        self._key = signing_key(secret)
        self._client = client

    async def send(self, message_id: str, payload: Mapping[str, Any]) -> str:
        """Post an event; the receipt is the HTTP status. Raises SendError."""
        if not self._url:
            raise SendError("no address", "GATEWAY_WEBHOOK_URL is not set.", transient=False)
        body = orjson.dumps(payload)
        headers = {
            "content-type": "application/json",
            **outgoing(),
            **signed_headers(self._key, message_id, body),
        }
        status = await self._post(headers, body)
        if status not in _SUCCESS:
            text = f"The webhook answered with HTTP {status}."
            # With 410 a receiver says that it wants no more events (Standard Webhooks).
            raise SendError(f"HTTP {status}", text, transient=status != HTTPStatus.GONE)
        return f"HTTP {status}"

    async def _post(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer, whose body is not read. Raises SendError."""
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        try:
            request = HttpRequest("POST", URL(self._url), headers, body)
            return (await self._client.send(request, deadline)).status
        except (HttpError, ValueError) as error:
            # Another error's text quotes the URL, which may contain a secret.
            reason = error if isinstance(error, HttpError) else "its URL is invalid"
            text = f"The webhook cannot be reached: {reason}."
            raise SendError("network", text, transient=True) from None
