"""TLS to PostgreSQL: what works, and what an operator reads if it fails."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from support.harness import execute
from support.proxies import Proxy

from gateway.database.connect import connect
from gateway.database.errors import DatabaseUnavailable

PASSWORD = "hunter2"
NEW_KEY = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db")


class Certificate:
    """A new self-signed certificate for one name, such as `IP:127.0.0.1`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file, key = folder / "server.crt", folder / "server.key"
        files = ("-keyout", str(key), "-out", str(self.file))
        extension = ("-addext", f"subjectAltName={name}")
        command = ["openssl", *NEW_KEY, *files, *extension]
        subprocess.run(command, check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.file, key)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("right"), "IP:127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("other"), "DNS:db.example.com")


@asynccontextmanager
async def server(url: str, certificate: Certificate) -> AsyncIterator[str]:
    """The address of the server through TLS, with a password that no message may quote."""
    async with Proxy(url, certificate.tls).running() as proxy:
        parts = urlsplit(proxy.url)
        password = parts.password or PASSWORD
        address = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
        yield urlunsplit(parts._replace(netloc=address))


async def refusal(url: str) -> str:
    """The message of a connection that cannot be opened."""
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(url)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


async def test_tls_server_with_a_trusted_certificate_is_used(
    database: str, certificate: Certificate
) -> None:
    async with server(database, certificate) as url:
        trusted = f"{url}?sslmode=verify-full&sslrootcert={certificate.file}"
        [row] = await execute(trusted, "select 1 as one")
    assert row["one"] == 1


async def test_tls_certificate_that_is_not_trusted_is_named_as_the_cause(
    database: str, certificate: Certificate, other: Certificate
) -> None:
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify-full&sslrootcert={other.file}")
    assert message.startswith("its TLS certificate is refused: self")
    assert message.endswith(f"; sslrootcert is {other.file}")


async def test_tls_certificate_of_another_host_is_named_as_the_cause(
    database: str, other: Certificate
) -> None:
    async with server(database, other) as url:
        message = await refusal(f"{url}?sslmode=verify-full&sslrootcert={other.file}")
        assert message.startswith("its TLS certificate is refused: IP address mismatch")
        assert "127.0.0.1" in message
        assert await execute(f"{url}?sslmode=verify-ca&sslrootcert={other.file}", "select 1")


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "sslcrl"])
async def test_tls_file_that_is_missing_is_named(
    database: str, certificate: Certificate, option: str
) -> None:
    options = {"sslrootcert": str(certificate.file), option: "/nonexistent/file.pem"}
    query = "&".join(f"{name}={value}" for name, value in options.items())
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify-full&{query}")
    path = "/nonexistent/file.pem"
    assert message == f"the file of {option} cannot be read: {path}: No such file or directory"


async def test_tls_file_of_the_environment_is_named(
    database: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/nonexistent/root.pem")
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify-ca")
    assert message.startswith("the file of sslrootcert cannot be read: /nonexistent/root.pem: ")


async def test_tls_file_that_is_not_a_certificate_is_named(
    database: str, certificate: Certificate, tmp_path: Path
) -> None:
    file = tmp_path / "root.pem"
    file.write_text("a text")
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify-full&sslrootcert={file}")
    assert message.startswith("TLS failed: ")
    assert message.endswith(f"; sslrootcert is {file}")


async def test_tls_without_a_root_certificate_names_the_default_file(
    database: str, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify-full")
    assert f'root certificate file "{tmp_path}/.postgresql/root.crt" does not exist' in message


async def test_tls_mode_that_is_unknown_is_named_and_other_faults_quote_nothing(
    database: str, certificate: Certificate
) -> None:
    async with server(database, certificate) as url:
        message = await refusal(f"{url}?sslmode=verify")
        assert message.startswith("`sslmode` parameter must be one of: disable, allow,")
        malformed = url.replace("postgresql://", f"{PASSWORD}://")
    for address in (malformed, f"postgresql://gateway:{PASSWORD}@[::1/gateway"):
        assert await refusal(address) == "the address of the database is malformed"
