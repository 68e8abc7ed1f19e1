"""A gateway that runs already: tests call it, and see nothing of its inside."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NoReturn

import httpx2
import orjson
import pytest

from gateway.manifest.check import Desired
from gateway.runtime.app_folder import AppFolder
from gateway.testing.calls import Calls, Credential
from gateway.testing.routes import ManifestReader

DEV_FILE = Path(".gateway") / "dev.json"


class Outside(Calls):
    """Calls of a running gateway, with the tokens of `gateway dev` if it is that one.

    A test that needs more is skipped, with the reason.
    """

    def __init__(self, url: str, app: AppFolder, desired: Iterable[Desired]) -> None:
        _require_gateway(url)
        file = app.path / DEV_FILE
        reader = ManifestReader(desired)
        super().__init__(
            url=url,
            tokens=_tokens(file, url),
            table=lambda: reader.table,
            reader=reader,
            why_no_tokens=f"{file} does not have the tokens of {url}",
        )

    def token_of(self, caller: str | Credential | None) -> str | None:
        """The token of a caller; skips the test if it is not known."""
        try:
            return super().token_of(caller)
        except LookupError as error:
            pytest.skip(str(error))

    def apply(self, _: str) -> NoReturn:
        """Skip the test."""
        self._skip("applies a manifest")

    def user(self, **_: str | None) -> NoReturn:
        """Skip the test."""
        self._skip("makes a user")

    def token(self, *_: object) -> NoReturn:
        """Skip the test."""
        self._skip("makes a token")

    @property
    def database(self) -> NoReturn:
        """Skip the test."""
        self._skip("needs the database")

    def _skip(self, what: str) -> NoReturn:
        pytest.skip(f"{what}, and --gateway-url names {self.url}")


@cache
def _require_gateway(url: str) -> None:
    """Fail if there is no gateway: skipped tests would look as if they had passed."""
    try:
        httpx2.get(f"{url}/-/live", trust_env=False).raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        pytest.fail(f"--gateway-url {url}: there is no gateway: {error}", pytrace=False)


def _tokens(file: Path, url: str) -> dict[str, str]:
    """The tokens in the file of `gateway dev`, if it is of the gateway at this address."""
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    tokens: dict[str, str] = document.get("tokens", {}) if document.get("url") == url else {}
    return tokens
