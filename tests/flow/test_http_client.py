"""The HTTP client: it sends a request once, and knows whether anything was sent."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from support.harness import until
from support.upstreams import Arrival, Behaviour, Service, answers, response, running, says
from yarl import URL

from gateway.runtime.http_client import HttpAnswer, HttpClient, HttpError, HttpRequest


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def send(
    client: HttpClient, url: str, method: str = "GET", *, seconds: float = 10.0, **options: object
) -> HttpAnswer:
    deadline = asyncio.get_running_loop().time() + seconds
    fields = {"headers": {}, "max_answer": 1000, **options}
    return await client.send(HttpRequest(method, URL(url), **fields), deadline)  # type: ignore[arg-type]


async def failure(client: HttpClient, url: str, *, seconds: float = 10.0) -> tuple[str, bool]:
    with pytest.raises(HttpError) as caught:
        await send(client, url, seconds=seconds)
    assert url.partition("//")[2] not in str(caught.value)
    return caught.value.kind, caught.value.is_sent


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_client_never_sends_again_on_a_reused_connection(
    client: HttpClient, method: str
) -> None:
    async with running(says(1)) as [service]:
        await send(client, service.url, method)
        service.behaviour = answers(then="close")
        with pytest.raises(HttpError) as caught:
            await send(client, service.url, method)
    assert caught.value.is_sent
    assert (len(service.arrivals), service.connections) == (2, 1)


async def test_client_sends_no_headers_of_its_own(client: HttpClient) -> None:
    async with running(says(1)) as [service]:
        await send(client, service.url, "POST", body=b"{}", headers={"x-own": "1"})
    assert service.arrivals[0].headers.keys() == {"host", "content-length", "x-own"}


async def test_client_keeps_no_cookies_and_decompresses_nothing(client: HttpClient) -> None:
    headers = "set-cookie: session=1\r\ncontent-encoding: gzip\r\n"
    async with running(answers(response(200, b"not gzip", headers))) as [service]:
        assert (await send(client, service.url)).body == b"not gzip"
        await send(client, service.url)
    assert "cookie" not in service.arrivals[1].headers


async def test_client_follows_no_redirect_and_reads_no_proxy(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with running(says(1)) as [other]:
        moved = answers(response(302, b"", f"location: {other.url}\r\n"))
        async with running(moved) as [service]:
            assert (await send(client, service.url)).status == 302
    assert other.arrivals == []


async def test_client_knows_that_a_refused_connection_sent_nothing(client: HttpClient) -> None:
    service = Service(says(1))
    await service.start()
    await service.stop()
    assert await failure(client, service.url) == ("transport", False)


async def test_client_knows_that_a_connection_that_does_not_open_sent_nothing(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", hang)
    assert await failure(client, "http://127.0.0.1:9", seconds=0.05) == ("timeout", False)


async def test_client_knows_that_an_unknown_name_sent_nothing(client: HttpClient) -> None:
    assert await failure(client, "http://tours.invalid:9") == ("transport", False)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (answers(then="reset"), "transport"),
        (answers(then="hang"), "timeout"),
        (answers(b"SSH-2.0\r\n\r\n"), "malformed"),
        (answers(response(200, b"x" * 1001)), "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_client_says_what_happened_after_it_sent_a_request(
    client: HttpClient, behaviour: Behaviour, kind: str
) -> None:
    async with running(behaviour) as [service]:
        assert await failure(client, service.url, seconds=0.3) == (kind, True)
        assert len(service.arrivals) == 1


async def test_client_closes_the_connection_of_a_cancelled_request(client: HttpClient) -> None:
    arrived = asyncio.Event()

    async def hang(_: Arrival, __: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.sleep(60)

    async with running(hang) as [service]:
        request = asyncio.create_task(send(client, service.url))
        await arrived.wait()
        request.cancel()
        await until(lambda: service.lost)
    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for tours.example, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "server.crt", folder / "server.key"
    new = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tours")
    written = ("-out", str(files[0]), "-keyout", str(files[1]))
    name = ("-addext", "subjectAltName=DNS:tours.example")
    subprocess.run(["openssl", "req", *new, *written, *name], check=True, capture_output=True)
    return files


@pytest.mark.parametrize(
    ("name", "is_trusted"),
    [("tours.example", True), ("other.example", True), ("tours.example", False)],
)
async def test_client_verifies_the_certificate_and_its_name_before_it_sends(
    client: HttpClient,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    is_trusted: bool,
) -> None:
    if is_trusted:
        trusting = ssl.create_default_context(cafile=certificate[0])
        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    service = Service(says(1), tls)
    await service.start()
    try:
        if is_trusted and name == "tours.example":
            assert (await send(client, service.url, server_name=name)).status == 200
        else:
            with pytest.raises(HttpError, match="certificate is not accepted") as caught:
                await send(client, service.url, server_name=name)
            assert (caught.value.kind, caught.value.is_sent) == ("transport", False)
            assert not service.arrivals
    finally:
        await service.stop()
