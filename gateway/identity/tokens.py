"""Tokens: 256 random bits behind a readable prefix, of which only the SHA-256 is stored."""

import hashlib
import re
import secrets

APPLICATION_PREFIX = "plano_app_"
SESSION_PREFIX = "plano_ses_"

_TOKEN = re.compile(r"plano_(?:app|ses)_[A-Za-z0-9_-]{43}", re.ASCII)


def make(prefix: str) -> str:
    """A new token; it is shown once and stored nowhere."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored and looked up. The token has 256 random bits, so that no salt is needed."""
    return hashlib.sha256(token.encode()).digest()


def is_token(text: str) -> bool:
    """Whether a text has the form of a token; others need no look-up."""
    return _TOKEN.fullmatch(text) is not None
