"""Settings are environment variables `GATEWAY_*`, declared once, in this table."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from gateway.runtime.errors import OperatorError

Network: TypeAlias = IPv4Network | IPv6Network

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - not a secret itself
"""The prefix of a webhook secret that is base64, as Standard Webhooks has it."""

MAX_PORT = 65535
MAX_SECONDS = 3600
"""A longer time is most likely a mistake in the unit."""

LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingError(OperatorError):
    """Settings have invalid values; the text names every one of them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: `name` is the variable without `GATEWAY_`, in lower case.

    `parse` turns the variable's text into the value. It raises ValueError with what is allowed;
    that message never quotes a secret.
    """

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"GATEWAY_{self.name.upper()}"


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a whole number")
    return int(text)


def _positive_integer(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _port(text: str) -> int:
    port = _integer(text)
    if port > MAX_PORT:
        raise ValueError(f"must be a port, 0 to {MAX_PORT}")
    return port


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < MAX_SECONDS:
        raise ValueError(f"must be a number of seconds, at least 0 and less than {MAX_SECONDS}")
    return seconds


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(map(ip_network, _list(text)))
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.0/8: {error}") from error


def _database_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_valid = not text or parts.scheme in {"postgresql", "postgres"}
        _ = parts.port
    except ValueError:
        is_valid = False
    if not is_valid:
        # urlsplit's own message may quote the password.
        raise ValueError("must be postgresql://user:password@host:port/name")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be a URL such as https://example.com/api/")
    return text


def _optional_url(text: str) -> str:
    return text and _url(text)


def _webhook_secret(text: str) -> str:
    try:
        base64.b64decode(text.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
        is_valid = True
    except ValueError:
        is_valid = not text.startswith(WEBHOOK_SECRET_PREFIX)
    if not is_valid:
        raise ValueError(f"must be base64 after {WEBHOOK_SECRET_PREFIX}")
    return text


def _log_level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text


SETTINGS = (
    Setting("host", "127.0.0.1", "Address that the public port listens on."),
    Setting("port", "8000", "Public port; 0 picks a free one.", _port),
    Setting("admin_host", "127.0.0.1", "Address that the admin port listens on."),
    Setting(
        "admin_port",
        "8001",
        "Port of the metrics and of readiness with details; 0 picks a free one.",
        _port,
    ),
    Setting(
        "database_url",
        "",
        "PostgreSQL as `postgresql://user:password@host:port/name`. "
        "If empty, `gateway dev` starts an embedded server, and commands that need a database "
        "exit with an error.",
        _database_url,
        secret=True,
    ),
    Setting(
        "listen_database_url",
        "",
        "PostgreSQL for LISTEN, which does not work through a transaction pooler. "
        "If empty, `GATEWAY_DATABASE_URL`.",
        _database_url,
        secret=True,
    ),
    Setting(
        "database_connections",
        "16",
        "Maximum database connections for the calls of one worker, which opens 7 more for itself.",
        _positive_integer,
    ),
    Setting(
        "data_dir",
        ".gateway",
        "Folder for the registry's snapshot, and for the database, log and `dev.json` of "
        "`gateway dev`.",
    ),
    Setting("workers", "1", "Number of worker processes of `gateway serve`.", _positive_integer),
    Setting(
        "cors_origins",
        "",
        "Origins, separated by commas, whose pages may read answers; `*` allows any origin.",
        _list,
    ),
    Setting(
        "max_in_flight",
        "1000",
        "Requests that one worker handles at once; any more get `service-unavailable`.",
        _positive_integer,
    ),
    Setting(
        "drain_delay",
        "0",
        "Seconds after SIGTERM in which a worker reports that it is not ready but still accepts "
        "connections.",
        _seconds,
    ),
    Setting(
        "trusted_proxies",
        "",
        "Networks, separated by commas, whose `X-Forwarded-For` is trusted.",
        _networks,
    ),
    Setting(
        "account_guesses",
        "10",
        "Wrong passwords allowed for one account in 15 minutes.",
        _positive_integer,
    ),
    Setting(
        "address_guesses",
        "100",
        "Wrong passwords allowed from one address in 15 minutes.",
        _positive_integer,
    ),
    Setting(
        "unknown_callers",
        "100",
        "Unknown tokens allowed from one address in a minute.",
        _positive_integer,
    ),
    Setting(
        "max_sessions_per_user",
        "100",
        "Sessions that a user may have at once; a log-in above it ends the one that was not used "
        "for the longest time.",
        _positive_integer,
    ),
    Setting(
        "mandrill_api_key",
        "",
        "Key for Mandrill's API. If empty, `gateway dev` sends mail to its stand-in, and "
        "`gateway serve` sends none.",
        secret=True,
    ),
    Setting(
        "mandrill_url",
        "https://mandrillapp.com/api/1.0/",
        "Base URL of Mandrill's API.",
        _url,
    ),
    Setting(
        "webhook_url",
        "",
        "URL that notifications are posted to; if empty, none are. The URL may contain a secret, "
        "as those of chat services do.",
        _optional_url,
        secret=True,
    ),
    Setting(
        "webhook_secret",
        "",
        "Secret that signs these posts as Standard Webhooks describes: any text, or `whsec_` "
        "and base64.",
        _webhook_secret,
        secret=True,
    ),
    Setting("log_level", "info", "Lowest severity that is logged.", _log_level),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process: loaded once, where it starts, and passed down."""

    host: str
    port: int
    admin_host: str
    admin_port: int
    database_url: str
    listen_database_url: str
    database_connections: int
    data_dir: str
    workers: int
    cors_origins: tuple[str, ...]
    max_in_flight: int
    drain_delay: float
    trusted_proxies: tuple[Network, ...]
    account_guesses: int
    address_guesses: int
    unknown_callers: int
    max_sessions_per_user: int
    mandrill_api_key: str
    mandrill_url: str
    webhook_url: str
    webhook_secret: str
    log_level: str

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the table from the environment. Raises SettingError naming every bad variable."""
        values: dict[str, Any] = {}
        errors: list[str] = []
        for setting in SETTINGS:
            text = environment.get(setting.variable, "").strip() or setting.default
            try:
                values[setting.name] = setting.parse(text)
            except ValueError as error:
                errors.append(f"{setting.variable} {error}")
        if errors:
            raise SettingError("; ".join(errors))
        values["listen_database_url"] = values["listen_database_url"] or values["database_url"]
        return cls(**values)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that are named like settings but are not settings, for a warning.

    Not an error: Kubernetes sets `GATEWAY_SERVICE_HOST` for a service named gateway.
    """
    variables = {setting.variable for setting in SETTINGS}
    return [
        name
        for name in sorted(environment)
        if name.startswith("GATEWAY_")
        and name not in variables
        and not name.startswith("GATEWAY_TEST_")
    ]


def masked(setting: Setting, value: object) -> str:
    """A setting's value as text; a secret's is masked."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "********" if setting.secret and text else text
