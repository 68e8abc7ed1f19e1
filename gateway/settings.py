"""Settings are environment variables `GATEWAY_*`, declared once, in this table."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from gateway.runtime.errors import OperatorError

Network: TypeAlias = IPv4Network | IPv6Network

WEBHOOK_SECRET = "whsec_"  # noqa: S105 - how one begins that is base64


class SettingError(OperatorError):
    """A setting has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: `name` is the variable without `GATEWAY_`, in lower case."""

    name: str
    default: str
    sentence: str
    read: Callable[[str], Any] = str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"GATEWAY_{self.name.upper()}"


def _port(text: str) -> int:
    port = _whole(text)
    if port > 65535:  # noqa: PLR2004 - the largest port there is
        message = "must be a port, 0 to 65535"
        raise ValueError(message)
    return port


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        message = "must be a whole number"
        raise ValueError(message)
    return int(text)


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        message = "must be at least 1"
        raise ValueError(message)
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:  # noqa: PLR2004 - an hour is surely a slip
        message = "must be a number of seconds, 0 to 3600"
        raise ValueError(message)
    return seconds


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(map(ip_network, _names(text)))
    except ValueError as error:
        message = f"must be addresses or networks such as 10.0.0.0/8: {error}"
        raise ValueError(message) from error


def _database(text: str) -> str:
    message = "must be postgresql://user:password@host:port/name"
    try:
        parts = urlsplit(text)
        known = not text or parts.scheme in {"postgresql", "postgres"}
        _ = parts.port
    except ValueError:
        known = False
    if not known:
        # Not what is wrong with it, which may quote the password.
        raise ValueError(message)
    return text


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        message = "must be an address such as https://example.com/api/"
        raise ValueError(message)
    return text


def _web_address_or_none(text: str) -> str:
    return text and _web_address(text)


def _webhook_secret(text: str) -> str:
    try:
        base64.b64decode(text.removeprefix(WEBHOOK_SECRET), validate=True)
        usable = True
    except ValueError:
        usable = not text.startswith(WEBHOOK_SECRET)
    if not usable:
        message = f"must be base64 after {WEBHOOK_SECRET}"
        raise ValueError(message)
    return text


def _level(text: str) -> str:
    levels = ("debug", "info", "warning", "error")
    if text not in levels:
        message = f"must be one of {', '.join(levels)}"
        raise ValueError(message)
    return text


SETTINGS = (
    Setting("host", "127.0.0.1", "Address that the public port listens on."),
    Setting("port", "8000", "The public port; 0 takes a free one.", _port),
    Setting("admin_host", "127.0.0.1", "Address that the admin port listens on."),
    Setting(
        "admin_port",
        "8001",
        "The port of metrics and of readiness with details; 0 takes a free one.",
        _port,
    ),
    Setting(
        "database_url",
        "",
        "PostgreSQL as `postgresql://user:password@host:port/name`; "
        "empty: `gateway dev` starts an embedded server, every other command refuses.",
        _database,
        secret=True,
    ),
    Setting(
        "listen_database_url",
        "",
        "PostgreSQL for LISTEN, which does not pass a transaction pooler; "
        "empty: the same as `GATEWAY_DATABASE_URL`.",
        _database,
        secret=True,
    ),
    Setting(
        "database_connections",
        "16",
        "Most database connections for the calls of one worker, which opens 7 more for itself.",
        _positive,
    ),
    Setting(
        "data_dir",
        ".gateway",
        "Folder of the registry's snapshot and of `gateway dev`: database, log, `dev.json`.",
    ),
    Setting("workers", "1", "Worker processes of `gateway serve`.", _positive),
    Setting(
        "cors_origins",
        "",
        "Origins, separated by commas, whose pages may read answers; `*` is any.",
        _names,
    ),
    Setting(
        "max_in_flight",
        "1000",
        "Requests that one worker handles at once; the next ones get `service-unavailable`.",
        _positive,
    ),
    Setting(
        "drain_delay",
        "0",
        "Seconds between not being ready and not accepting connections, after SIGTERM.",
        _seconds,
    ),
    Setting(
        "trusted_proxies",
        "",
        "Networks, separated by commas, whose `X-Forwarded-For` is believed.",
        _networks,
    ),
    Setting("account_guesses", "10", "Wrong passwords for one account in 15 minutes.", _positive),
    Setting("address_guesses", "100", "Wrong passwords from one address in 15 minutes.", _positive),
    Setting("unknown_callers", "100", "Unknown tokens from one address in a minute.", _positive),
    Setting(
        "mandrill_api_key",
        "",
        "Key of Mandrill's API; empty: `gateway dev` has a stand-in, elsewhere no mail is sent.",
        secret=True,
    ),
    Setting(
        "mandrill_url",
        "https://mandrillapp.com/api/1.0/",
        "Address of Mandrill's API.",
        _web_address,
    ),
    Setting(
        "webhook_url",
        "",
        "Address that notifications are posted to; empty: none. It may hold a secret, as a chat's "
        "does.",
        _web_address_or_none,
        secret=True,
    ),
    Setting(
        "webhook_secret",
        "",
        "Signs what is posted there, as Standard Webhooks says: any text, or `whsec_` and base64.",
        _webhook_secret,
        secret=True,
    ),
    Setting("log_level", "info", "Least severity that is logged.", _level),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process; made once, where it starts, and passed down."""

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
    mandrill_api_key: str
    mandrill_url: str
    webhook_url: str
    webhook_secret: str
    log_level: str

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the table from the environment; raise SettingError naming every bad variable."""
        values: dict[str, Any] = {}
        faults: list[str] = []
        for setting in SETTINGS:
            text = environment.get(setting.variable, "").strip() or setting.default
            try:
                values[setting.name] = setting.read(text)
            except ValueError as error:
                faults.append(f"{setting.variable} {error}")
        if faults:
            raise SettingError("; ".join(faults))
        values["listen_database_url"] = values["listen_database_url"] or values["database_url"]
        return cls(**values)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none, for a warning.

    Not an error: Kubernetes itself sets `GATEWAY_SERVICE_HOST` beside a service named gateway.
    """
    known = {setting.variable for setting in SETTINGS}
    return [
        name
        for name in sorted(environment)
        if name.startswith("GATEWAY_")
        and name not in known
        and not name.startswith("GATEWAY_TEST_")
    ]


def shown(setting: Setting, value: object) -> str:
    """A setting's value for people: secrets are masked."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "********" if setting.secret and text else text
