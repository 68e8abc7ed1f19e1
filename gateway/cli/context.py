"""The process that a verb runs in: its settings and its user."""

import getpass
import os
from typing import Any

from gateway.cli.output import echo_error
from gateway.runtime import log
from gateway.settings import Settings, unknown_variables


def load_settings(**changes: Any) -> Settings:  # noqa: ANN401 - values of options
    """The settings of this process; `changes` override the environment unless they are None.

    Raises SettingError.
    """
    options = {f"GATEWAY_{name.upper()}": str(v) for name, v in changes.items() if v is not None}
    settings = Settings.load({**os.environ, **options})
    log.configure(settings.log_level)
    for name in unknown_variables(os.environ):
        echo_error(f"warning: {name} is not a setting; `gateway config` lists the settings")
    return settings


def current_user() -> str:
    """The name of the system's user, otherwise its number: in a container it may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
