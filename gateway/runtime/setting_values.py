"""The kinds of settings: each function turns a variable's text into the value.

Each raises ValueError with what is allowed; that message never quotes a secret.
"""

import base64
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.runtime import database_address

Network: TypeAlias = IPv4Network | IPv6Network

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - not a secret itself
"""The prefix of a webhook secret that is base64, as Standard Webhooks has it."""

MASK = "********"
"""What is shown in place of a secret."""

_USER_INFO = re.compile(r"(\w://)[^/?#@]*@")
_SECRET_OPTION = re.compile(
    r"([?&][^=&#]*(?:pass|key|secret|token|sig)[^=&#]*=)[^&#]*", re.IGNORECASE
)

MAX_PORT = 65535
MAX_SECONDS = 3600
"""A longer time is most likely a mistake in the unit."""

MIN_HANG_TIMEOUT = 5

LOG_LEVELS = ("debug", "info", "warning", "error")
RETURNS_CHECKS = ("none", "sample", "all")


def integer(text: str) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number")
    return int(text)


def positive_integer(text: str) -> int:
    """A whole number that is at least 1."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError("must be a whole number, 1 or more")
    return int(text)


def port(text: str) -> int:
    """A port."""
    number = integer(text)
    if number > MAX_PORT:
        raise ValueError(f"must be a port, 0 to {MAX_PORT}")
    return number


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < MAX_SECONDS:
        raise ValueError(f"must be a number of seconds, at least 0 and less than {MAX_SECONDS}")
    return number


def hang_timeout(text: str) -> float:
    """A number of seconds that is longer than a busy worker is silent, or 0."""
    number = seconds(text)
    if 0 < number < MIN_HANG_TIMEOUT:
        raise ValueError(f"must be 0, or a number of seconds, at least {MIN_HANG_TIMEOUT}")
    return number


def switch(text: str) -> bool:
    """`on` or `off`."""
    if text not in {"on", "off"}:
        raise ValueError("must be on or off")
    return text == "on"


def returns_checks(text: str) -> str:
    """Which answers are checked."""
    if text not in RETURNS_CHECKS:
        raise ValueError(f"must be one of {', '.join(RETURNS_CHECKS)}")
    return text


def items(text: str) -> tuple[str, ...]:
    """The items of a list that commas separate."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def networks(text: str) -> tuple[Network, ...]:
    """Networks and addresses."""
    try:
        return tuple(map(ip_network, items(text)))
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.0/8: {error}") from error


def database_url(text: str) -> str:
    """The address of a PostgreSQL database, which may name several hosts, or nothing."""
    if text:
        database_address.check(text)
    return text


def url(text: str) -> str:
    """An HTTP URL."""
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be a URL such as https://example.com/api/")
    return text


def mask_url(text: str) -> str:
    """A text with what is secret in a URL masked: the part before `@`, and keys in the query."""
    text = _USER_INFO.sub(rf"\1{MASK}@", text)
    return _SECRET_OPTION.sub(rf"\1{MASK}", text)


def optional_url(text: str) -> str:
    """An HTTP URL, or nothing."""
    return text and url(text)


def webhook_secret(text: str) -> str:
    """A secret: any text, or base64 after the prefix."""
    try:
        base64.b64decode(text.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
        is_valid = True
    except ValueError:
        is_valid = not text.startswith(WEBHOOK_SECRET_PREFIX)
    if not is_valid:
        raise ValueError(f"must be base64 after {WEBHOOK_SECRET_PREFIX}")
    return text


def log_level(text: str) -> str:
    """A severity of the log."""
    if text not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text
