"""The HTTP client of a worker: one request, one answer, and certainty about what was sent.

aiohttp stands behind it, without what the gateway does itself or must not have done: no retries,
redirects, cookies, proxies of the environment, decompression, pool limits or headers of its own.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from gateway.runtime.timeout import Timeout

CONNECT_TIMEOUT = 2.0
"""Seconds to open a connection, with TLS."""

KEEP_ALIVE = 4.0
"""Seconds that a connection may be idle; uvicorn's and Node's servers close theirs after 5."""

_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

Kind: TypeAlias = Literal["transport", "timeout", "malformed", "too-large"]


class HttpRequest(NamedTuple):
    """A request; `url` is encoded already.

    `server_name` is the name on the certificate, if the URL has an address in its place. An answer
    larger than `max_answer` bytes is an error; with None its body is not read.
    """

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None
    server_name: str | None = None
    max_answer: int | None = None


class HttpAnswer(NamedTuple):
    """An answer; the names of `headers` are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpError(Exception):
    """No complete answer came. The text is for operators; it contains no URL.

    `is_sent` is whether any byte of the request may have reached the server.
    """

    def __init__(self, kind: Kind, text: str, *, is_sent: bool) -> None:
        super().__init__(text)
        self.kind = kind
        self.is_sent = is_sent


class _Attempt:
    """What is known of a request in flight: whether it has a connection to be written to."""

    __slots__ = ("is_connected",)

    def __init__(self) -> None:
        self.is_connected = False


_attempt: ContextVar[_Attempt] = ContextVar("http_attempt")


class _Connector(aiohttp.TCPConnector):
    """Notes when a request gets its connection: from there on it may have been written.

    It has the loop open the socket. aiohttp opens one and passes it to the loop, and uvloop closes
    such a socket twice if the request is cancelled meanwhile; the second time, its descriptor may
    be that of another client's connection (https://github.com/MagicStack/uvloop/issues/738).
    """

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """See `BaseConnector.connect`."""
        connection = await super().connect(req, traces, timeout)
        _attempt.get().is_connected = True
        return connection

    async def _wrap_create_connection(
        self,
        *args: Any,  # noqa: ANN401
        addr_infos: list[Any],
        req: ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        client_error: type[Any] = aiohttp.ClientConnectorError,
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connect to the first address; the caller tries the next one if that fails."""
        host, port = addr_infos[0][4][:2]
        try:
            async with asyncio.timeout(timeout.sock_connect):
                connect: Any = self._loop.create_connection
                return await connect(*args, host, port, **kwargs)  # type: ignore[no-any-return]
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise client_error(req.connection_key, error) from error


class HttpClient:
    """Sends requests over connections that it keeps open; use it in one event loop."""

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=_Connector(limit=0, use_dns_cache=False, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTOMATIC_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            trust_env=False,
        )
        # It would send GET, PUT and DELETE again on a new connection, after the server has closed a
        # reused one; but the server may have read and done them. aiohttp has no public switch.
        session._retry_connection = False  # noqa: SLF001
        return session

    async def send(self, request: HttpRequest, deadline: float) -> HttpAnswer:
        """The answer to a request, sent once. Raises HttpError.

        `deadline` is in seconds of the event loop's clock.
        """
        attempt = _Attempt()
        token = _attempt.set(attempt)
        try:
            with Timeout(deadline):
                return await self._exchange(request)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            kind, text = _describe(error)
            # The error's text quotes addresses, and URLs may contain secrets.
            raise HttpError(kind, text, is_sent=attempt.is_connected) from None
        finally:
            _attempt.reset(token)

    async def close(self) -> None:
        """Close all connections."""
        if "_session" in vars(self):
            await self._session.close()

    async def _exchange(self, request: HttpRequest) -> HttpAnswer:
        response = await self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            server_hostname=request.server_name,
            allow_redirects=False,
        )
        try:
            _check_framing(response)
            body = await _read(response, request.max_answer)
        except BaseException:
            response.close()
            raise
        return HttpAnswer(response.status, response.headers, body)


class _TooLargeError(ValueError):
    pass


class _FramingError(ValueError):
    pass


def _check_framing(response: ClientResponse) -> None:
    """Refuse an answer whose end is ambiguous: another server on the way may see another one."""
    headers = response.headers
    if "Transfer-Encoding" in headers and "Content-Length" in headers:
        raise _FramingError


async def _read(response: ClientResponse, max_answer: int | None) -> bytes:
    if max_answer is None:
        response.close()
        return b""
    if (response.content_length or 0) > max_answer:
        raise _TooLargeError
    body = await response.content.readany()
    if response.content.at_eof():
        return body
    parts, size = [body], len(body)
    while not response.content.at_eof():
        parts.append(await response.content.readany())
        size += len(parts[-1])
        if size > max_answer:
            raise _TooLargeError
    return b"".join(parts)


_TEXTS: tuple[tuple[type[Any], Kind, str], ...] = (
    (_TooLargeError, "too-large", "the answer is too large"),
    (_FramingError, "malformed", "the answer has both Content-Length and Transfer-Encoding"),
    (aiohttp.ConnectionTimeoutError, "timeout", "the connection was not opened in time"),
    (TimeoutError, "timeout", "there was no answer in time"),
    (aiohttp.ClientConnectorCertificateError, "transport", "the certificate is not accepted"),
    (ssl.SSLError, "transport", "TLS failed"),
    (aiohttp.ClientConnectorDNSError, "transport", "the name cannot be resolved"),
    (aiohttp.ClientConnectorError, "transport", "the connection was refused"),
    (aiohttp.ClientResponseError, "malformed", "the answer is not valid HTTP"),
    (aiohttp.ClientPayloadError, "transport", "the connection ended before the whole answer"),
    (aiohttp.ClientConnectionError, "transport", "the connection ended before the answer"),
    (OSError, "transport", "the connection failed"),
)


def _describe(error: Exception) -> tuple[Kind, str]:
    return next(
        ((kind, text) for type_, kind, text in _TEXTS if isinstance(error, type_)),
        ("transport", f"the request failed: {type(error).__name__}"),
    )
