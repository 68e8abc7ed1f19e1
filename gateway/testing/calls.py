"""The calls that a test makes of a gateway, in this process or in another."""

import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote

import httpx2
import orjson

from gateway.registry import paths
from gateway.registry.records import Route
from gateway.registry.table import Table
from gateway.testing.answers import Answer
from gateway.testing.routes import UndocumentedAnswerError, find_route

TIMEOUT = 60.0
"""Seconds: more than the timeout of any route, so that a slow machine fails no test."""

_QUERY_METHODS = {"GET", "DELETE"}


@dataclass(frozen=True, slots=True)
class Credential:
    """A caller that a test made; `email` and `user_id` are None for an application."""

    token: str
    email: str | None = None
    user_id: int | None = None


class Reader(Protocol):
    """Knows which answers are documented."""

    def complaint(self, response: httpx2.Response) -> str | None:
        """Why an answer is not documented; None if it is."""


class Calls:
    """Calls of the gateway at an address: by name of the route, or with httpx2."""

    def __init__(
        self,
        *,
        url: str,
        tokens: Mapping[str, str],
        table: Callable[[], Table],
        reader: Reader,
        why_no_tokens: str = "gateway_demo is off, or the manifest declares no application",
    ) -> None:
        self.url = url
        self._tokens = tokens
        self._table = table
        self._reader = reader
        self._why_no_tokens = why_no_tokens
        self._clients: dict[str | None, httpx2.Client] = {}

    def call(
        self,
        name_or_path: str,
        /,
        *,
        as_: str | Credential | None = "employee",
        **params: Any,  # noqa: ANN401 - JSON is any
    ) -> Answer:
        """Call a route with params, and return its answer, whatever its status is.

        `name_or_path` is `service.action`, or a path, with `GET ` before it if several routes have
        it. `as_` is a caller of the demo, what `user` or `token` returned, or None for no token.
        Raises LookupError for an unknown route or caller, and UndocumentedAnswerError for an answer
        that the route does not document.
        """
        __tracebackhide__ = True
        route = find_route(self._table(), name_or_path)
        path = name_or_path.rpartition(" ")[2] if "/" in name_or_path else _path(route, params)
        return Answer(self.client(as_=as_).request(route.method, path, **_sent(route, params)))

    def client(self, *, as_: str | Credential | None = None) -> httpx2.Client:
        """An httpx2 client of the gateway that sends the caller's token; closed after the test.

        An answer that its route does not document raises UndocumentedAnswerError.
        """
        token = self.token_of(as_)
        if token not in self._clients:
            self._clients[token] = httpx2.Client(
                base_url=self.url,
                headers={"authorization": f"Bearer {token}"} if token else {},
                event_hooks={"response": [self._judge]},
                timeout=TIMEOUT,
                verify=_trusted(),
                trust_env=False,
            )
        return self._clients[token]

    def token_of(self, caller: str | Credential | None) -> str | None:
        """The token of a caller; None for no caller. Raises LookupError."""
        if caller is None or isinstance(caller, Credential):
            return caller.token if caller else None
        if caller not in self._tokens:
            known = ", ".join(self._tokens)
            reason = f"the callers are {known}" if known else self._why_no_tokens
            raise LookupError(f"no caller is named {caller!r}: {reason}")
        return self._tokens[caller]

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def _judge(self, response: httpx2.Response) -> None:
        __tracebackhide__ = True
        response.read()
        if complaint := self._reader.complaint(response):
            raise UndocumentedAnswerError(complaint)


@cache
def _trusted() -> ssl.SSLContext:
    """The trusted certificates, read once: reading them takes longer than a call."""
    return httpx2.create_ssl_context()


def _path(route: Route, params: dict[str, Any]) -> str:
    """The path of a route, with the values of its params, which are removed from `params`."""
    parts = []
    for part in route.path.split("/"):
        is_param = part.startswith("{")
        value = params.pop(next(iter(paths.names(part))), "") if is_param else part
        parts.append(quote(str(value), safe="") if is_param else part)
    return "/".join(parts)


def _sent(route: Route, params: dict[str, Any]) -> dict[str, Any]:
    """The options of httpx2 that send params as the route expects them."""
    if route.sensitive_params:
        return {"content": base64.b64encode(orjson.dumps(params))}
    if route.method in _QUERY_METHODS:
        return {"params": params}
    return {"json": params} if params else {}
