"""Signatures as Standard Webhooks describes them: https://www.standardwebhooks.com."""

import base64
import hashlib
import hmac
import time

from gateway.runtime.setting_values import WEBHOOK_SECRET_PREFIX


def signing_key(secret: str) -> bytes:
    """The signing key for a secret: base64 after `whsec_`, any other text as it is.

    Raises ValueError for text after `whsec_` that is not base64.
    """
    if secret.startswith(WEBHOOK_SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    return secret.encode()


def signed_headers(key: bytes, message_id: str, body: bytes) -> dict[str, str]:
    """The headers that identify a message, and sign it at this moment unless the key is empty."""
    now = str(int(time.time()))
    headers = {"webhook-id": message_id, "webhook-timestamp": now}
    return headers | {"webhook-signature": sign(key, message_id, now, body)} if key else headers


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
