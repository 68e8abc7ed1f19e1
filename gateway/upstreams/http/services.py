"""The http services of a worker: they follow the registry's table, and are kept up to date."""

import asyncio
from collections.abc import Callable, Mapping

from gateway.registry.records import Service
from gateway.registry.table import Table
from gateway.runtime import events
from gateway.runtime.http_client import HttpClient
from gateway.runtime.service_usage import ServiceUsage
from gateway.runtime.signature import signing_key
from gateway.upstreams.action import Action
from gateway.upstreams.http.service import HttpService

INTERVAL = 0.25
IDLE_INTERVAL = 1.0
"""Seconds between two looks at what is due; the second while the table has no http service."""


class HttpServices:
    """All services of `kind: http`.

    `newest` gives the table that is served now, `environment` has the secrets, and `max_in_flight`
    limits the calls of each service.
    """

    def __init__(
        self,
        client: HttpClient,
        newest: Callable[[], Table | None],
        *,
        environment: Mapping[str, str],
        max_in_flight: int,
    ) -> None:
        self._client = client
        self._newest = newest
        self._environment = environment
        self._max_in_flight = max_in_flight
        self._services: dict[str, tuple[Service | None, HttpService]] = {}
        self._table: Table | None = None

    def action(self, service: Service) -> Action:
        """The action of a deployed service's routes."""
        record, found = self._services.get(service.name, (None, None))
        if found is None or record is not service:
            return self._follow(service)
        return found

    def _follow(self, service: Service) -> HttpService:
        """The service, brought up to date.

        A request may hold an older table than the one that is served: it uses the newer endpoints.
        """
        table = self._newest()
        newest = table.services.get(service.name) if table else None
        if newest is None or newest.upstream is None:
            newest = service
        record, found = self._services.get(newest.name, (None, None))
        if found is None:
            found = HttpService(newest.name, self._client, self._max_in_flight)
        if record != newest and newest.upstream:
            found.update(newest.upstream, self._key(newest.name, newest.upstream.secret_variable))
        self._services[newest.name] = newest, found
        return found

    def _key(self, name: str, variable: str) -> bytes:
        """The key that signs the calls of a service; empty if there is none."""
        reason = "it is not set"
        try:
            if key := signing_key(self._environment.get(variable, "").strip()):
                return key
        except ValueError:
            reason = "it is not base64 after whsec_"
        events.emit(events.SERVICE_SECRET_UNUSABLE, service=name, variable=variable, reason=reason)
        return b""

    async def run(self) -> None:
        """Follow the table, resolve names and check health, until cancelled."""
        try:
            while True:
                self._follow_table()
                now = asyncio.get_running_loop().time()
                for _, service in self._services.values():
                    service.endpoints.maintain(now)
                await asyncio.sleep(INTERVAL if self._services else IDLE_INTERVAL)
        finally:
            for _, service in self._services.values():
                service.endpoints.close()

    def _follow_table(self) -> None:
        table = self._newest()
        if table is None or table is self._table:
            return
        self._table = table
        for service in table.services.values():
            if service.upstream and service.deployed:
                self.action(service)
        for name, (_, removed) in self._services.items():
            record = table.services.get(name)
            if not (record and record.upstream and record.deployed):
                removed.endpoints.clear()
                self._services[name] = None, removed

    def usage(self) -> list[ServiceUsage]:
        """How this worker uses each service now, and has used those that were removed."""
        return [service.usage() for _, service in self._services.values()]
