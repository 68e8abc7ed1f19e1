"""Messages about TLS to PostgreSQL: the driver's name no file, or resemble a bad address."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from gateway.runtime import database_address

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_HARMLESS = ("`sslmode` parameter", "root certificate file")
"""How those texts of the driver begin that quote no part of the address but these."""


def describe_tls_error(error: Exception, dsn: str) -> str | None:
    """The message for the operator about an error of TLS; None for any other error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is refused: {error.verify_message.rstrip('.')}{_named(dsn)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}{_named(dsn)}"
    if isinstance(error, OSError):
        return next(_unreadable(dsn), None)
    if isinstance(error, asyncpg.ClientConfigurationError) and str(error).startswith(_HARMLESS):
        return str(error).partition("\n")[0]
    return None


def _file_options(dsn: str) -> Iterator[tuple[str, str]]:
    """The files of TLS that the address, or otherwise the environment, names."""
    options = database_address.options(dsn)
    for name in _FILES:
        if file := options.get(name) or os.environ.get(f"PG{name.upper()}"):
            yield name, file


def _named(dsn: str) -> str:
    return "".join(f"; {name} is {file}" for name, file in _file_options(dsn))


def _unreadable(dsn: str) -> Iterator[str]:
    """A sentence about each file that cannot be read."""
    for name, file in _file_options(dsn):
        try:
            Path(file).read_bytes()
        except OSError as error:
            yield f"the file of {name} cannot be read: {file}: {error.strerror}"
