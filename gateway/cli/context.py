"""The process that a verb runs in: its settings and its user."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.output import echo_error
from gateway.runtime import log
from gateway.runtime.app_folder import AppFolder
from gateway.settings import Settings, unknown_variables

APP = "gateway.app"
"""The key of the option --app in the context of a command."""


def load_settings(
    environment: Mapping[str, str] = os.environ,
    **changes: Any,  # noqa: ANN401 - values of options
) -> Settings:
    """The settings of this process; `changes` override the environment unless they are None.

    Raises SettingError.
    """
    options = {f"GATEWAY_{name.upper()}": str(v) for name, v in changes.items() if v is not None}
    settings = Settings.load({**environment, **options})
    log.configure(settings.log_level)
    for name in unknown_variables(os.environ):
        echo_error(f"warning: {name} is not a setting; `gateway config` lists the settings")
    return settings


def app_folder() -> AppFolder:
    """The application folder of --app, GATEWAY_APP or the default. Raises AppFolderError."""
    # Only this setting is read: an offline command must not fail because of another one.
    return AppFolder.find(app_name() or os.environ.get("GATEWAY_APP", "").strip())


def app_name() -> str | None:
    """The value of --app; None if it is not given."""
    name: str | None = click.get_current_context().meta.get(APP)
    return name


def manifest_or_default(_: click.Context, __: click.Parameter, value: Path | None) -> Path:
    """The manifest argument, otherwise the application folder's. Raises AppFolderError."""
    return value or app_folder().manifest


def current_user() -> str:
    """The name of the system's user, otherwise its number: in a container it may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
