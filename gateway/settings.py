"""Settings are environment variables `GATEWAY_*`, declared once, in this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.runtime import setting_values
from gateway.runtime.errors import OperatorError
from gateway.runtime.setting import Setting
from gateway.runtime.setting_values import Network


class SettingError(OperatorError):
    """Settings have invalid values; the text names every one of them."""


SETTINGS = (
    Setting("host", "127.0.0.1", "Address that the public port listens on."),
    Setting("port", "8000", "Public port; 0 picks a free one.", setting_values.port),
    Setting("admin_host", "127.0.0.1", "Address that the admin port listens on."),
    Setting(
        "admin_port",
        "8001",
        "Port of the metrics and of readiness with details; 0 picks a free one.",
        setting_values.port,
    ),
    Setting(
        "database_url",
        "",
        "PostgreSQL as `postgresql://user:password@host:port/name`. Of several hosts, separated by "
        "commas, the one that accepts writes is used. "
        "`gateway dev` does not read it: it starts a server of its own."
        " If it is empty, the other commands that need a database exit with an error.",
        setting_values.database_url,
        secret=True,
    ),
    Setting(
        "listen_database_url",
        "",
        "PostgreSQL for LISTEN, which does not work through a transaction pooler. "
        "If empty, `GATEWAY_DATABASE_URL`.",
        setting_values.database_url,
        secret=True,
    ),
    Setting(
        "replica_database_url",
        "",
        "Standby of the database, for routes that have `reads` in the manifest; several hosts are "
        "separated by commas, and share the reads. If empty, these routes read from the primary.",
        setting_values.database_url,
        secret=True,
    ),
    Setting(
        "database_connections",
        "16",
        "Maximum database connections for the calls of one worker, which opens 8 more for itself.",
        setting_values.positive_integer,
    ),
    Setting(
        "database_connection_age",
        "1800",
        "Seconds after which a connection for calls is replaced, so that a pooler or a proxy "
        "between the gateway and PostgreSQL can be restarted without failing calls; 0 means never.",
        setting_values.seconds,
    ),
    Setting(
        "data_dir",
        ".gateway",
        "Folder for the registry's snapshot, and for the database, log and `dev.json` of "
        "`gateway dev`.",
    ),
    Setting(
        "snapshot_key",
        "",
        "Key that signs the registry's snapshot; with it, a worker refuses a snapshot that is not "
        "signed with the same key.",
        secret=True,
    ),
    Setting(
        "app",
        "",
        "The application folder: `routes.yaml` or a folder `routes` of manifests, `schemas` and "
        "`services`. If empty, the working directory if it has a manifest, otherwise Plano's own.",
    ),
    Setting(
        "workers",
        "1",
        "Number of worker processes of `gateway serve`.",
        setting_values.positive_integer,
    ),
    Setting(
        "hang_timeout",
        "30",
        "Seconds without a turn of its event loop after which the supervisor of several workers "
        "kills a worker and starts another; 0 means never.",
        setting_values.hang_timeout,
    ),
    Setting(
        "cors_origins",
        "",
        "Origins, separated by commas, whose pages may read answers; `*` allows any origin.",
        setting_values.items,
    ),
    Setting(
        "max_in_flight",
        "1000",
        "Requests with a complete body that one worker handles at once; any more get "
        "`service-unavailable`.",
        setting_values.positive_integer,
    ),
    Setting(
        "max_bodies",
        "1000",
        "Bodies that one worker reads at once. For any more, the client that sends the most loses "
        "its oldest: `service-unavailable`.",
        setting_values.positive_integer,
    ),
    Setting(
        "max_body_bytes",
        "134217728",
        "Bytes of all these bodies together. For any more, the client with the most bytes loses "
        "its largest body: `service-unavailable`.",
        setting_values.positive_integer,
    ),
    Setting(
        "service_calls",
        "100",
        "Calls of one `http` service that one worker has in flight; as many again wait, and any "
        "more get `service-unavailable`.",
        setting_values.positive_integer,
    ),
    Setting(
        "drain_delay",
        "0",
        "Seconds after SIGTERM in which a worker reports that it is not ready but still accepts "
        "connections.",
        setting_values.seconds,
    ),
    Setting(
        "ready_needs_database",
        "off",
        "`on` makes `/-/ready` answer 503 while the database does not answer, for balancers that "
        "cannot ask `/-/ready?database`. If the database is away, all workers are then not ready.",
        setting_values.switch,
    ),
    Setting(
        "keep_alive",
        "5",
        "Seconds that a connection may be idle between two requests. A proxy in front must close "
        "idle connections sooner.",
        setting_values.seconds,
    ),
    Setting(
        "trusted_proxies",
        "",
        "Networks, separated by commas, whose `X-Forwarded-For` is trusted.",
        setting_values.networks,
    ),
    Setting(
        "proxy_protocol",
        "off",
        "`on` takes the client's address from the PROXY protocol, version 1 or 2; every connection "
        "from `GATEWAY_TRUSTED_PROXIES` must then begin with its header.",
        setting_values.switch,
    ),
    Setting(
        "account_guesses",
        "10",
        "Wrong passwords allowed for one account in 15 minutes.",
        setting_values.positive_integer,
    ),
    Setting(
        "address_guesses",
        "100",
        "Wrong passwords allowed from one address in 15 minutes.",
        setting_values.positive_integer,
    ),
    Setting(
        "unknown_callers",
        "100",
        "Unknown tokens allowed from one address in a minute.",
        setting_values.positive_integer,
    ),
    Setting(
        "max_sessions_per_user",
        "100",
        "Maximum number of sessions of a user; one more log-in ends the least recently used "
        "session.",
        setting_values.positive_integer,
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
        setting_values.url,
    ),
    Setting(
        "webhook_url",
        "",
        "URL that notifications are posted to; if empty, none are. The URL may contain a secret, "
        "as those of chat services do.",
        setting_values.optional_url,
        secret=True,
    ),
    Setting(
        "webhook_secret",
        "",
        "Secret that signs these posts as Standard Webhooks describes: any text, or `whsec_` "
        "and base64.",
        setting_values.webhook_secret,
        secret=True,
    ),
    Setting(
        "documentation",
        "on",
        "`off` hides the pages below `/documentation`, OpenAPI, and `help` in answers.",
        setting_values.switch,
    ),
    Setting(
        "check_returns",
        "sample",
        "Which answers are checked against their route's `returns`: `sample` checks one a second "
        "of each route and reports those that do not fit; `all` checks each, and one that does not "
        "fit is answered `application-crash`, as in `gateway dev`; `none`.",
        setting_values.returns_checks,
    ),
    Setting("log_level", "info", "Lowest severity that is logged.", setting_values.log_level),
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
    replica_database_url: str
    database_connections: int
    database_connection_age: float
    data_dir: str
    snapshot_key: str
    app: str
    workers: int
    hang_timeout: float
    cors_origins: tuple[str, ...]
    max_in_flight: int
    max_bodies: int
    max_body_bytes: int
    service_calls: int
    drain_delay: float
    ready_needs_database: bool
    keep_alive: float
    trusted_proxies: tuple[Network, ...]
    proxy_protocol: bool
    account_guesses: int
    address_guesses: int
    unknown_callers: int
    max_sessions_per_user: int
    mandrill_api_key: str
    mandrill_url: str
    webhook_url: str
    webhook_secret: str
    documentation: bool
    check_returns: str
    log_level: str

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the table from the environment. Raises SettingError naming every bad variable."""
        values: dict[str, Any] = {}
        errors: list[str] = []
        for setting in SETTINGS:
            try:
                text = setting.text(environment) or setting.default
                values[setting.name] = setting.parse(text)
            except ValueError as error:
                errors.append(f"{setting.variable} {error}")
        if values.get("proxy_protocol") and not values.get("trusted_proxies", True):
            errors.append(
                "GATEWAY_PROXY_PROTOCOL is on: name the proxies in GATEWAY_TRUSTED_PROXIES"
            )
        if errors:
            raise SettingError("; ".join(errors))
        values["listen_database_url"] = values["listen_database_url"] or values["database_url"]
        return cls(**values)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that are named like settings but are not settings, for a warning.

    Not an error: Kubernetes sets `GATEWAY_SERVICE_HOST` for a service named gateway.
    """
    variables = {setting.variable for setting in SETTINGS}
    variables |= {setting.file_variable for setting in SETTINGS if setting.secret}
    return [
        name
        for name in sorted(environment)
        if name.startswith("GATEWAY_")
        and name not in variables
        and not name.startswith("GATEWAY_TEST_")
    ]


def masked(setting: Setting, value: object) -> str:
    """A setting's value as text; secrets, and passwords in URLs, are masked."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return setting_values.MASK if setting.secret and text else setting_values.mask_url(text)
