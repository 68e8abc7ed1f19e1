"""Tokens: a readable prefix and 256 random bits; the database stores only their SHA-256."""

import hashlib
import re
import secrets

APPLICATION_PREFIX = "plano_app_"
SESSION_PREFIX = "plano_ses_"
RESET_PREFIX = "plano_rst_"
"""The prefix of the token in a link that sets a new password; it is not a caller's token."""

_TOKEN = re.compile(r"plano_(?:app|ses)_[A-Za-z0-9_-]{43}", re.ASCII)


def make(prefix: str) -> str:
    """Create a token; it is shown once and stored nowhere."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """The hash that is stored and looked up; 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).digest()


def is_token(text: str) -> bool:
    """Whether a text has the form of a token; any other text needs no look-up."""
    return _TOKEN.fullmatch(text) is not None
