"""The endpoints of one service: names become targets, and targets that fail are ejected."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from gateway.registry.endpoints import Endpoint, parse
from gateway.registry.http_record import HealthCheck, Upstream
from gateway.runtime import events
from gateway.runtime.http_client import HttpClient, HttpError, HttpRequest
from gateway.upstreams.http.eject import FAILED_CHECKS
from gateway.upstreams.http.resolver import RESOLVE_INTERVAL, Resolved, is_address, resolve
from gateway.upstreams.http.target import Key, Target, Totals

_SUCCESS = range(200, 300)


class Endpoints:
    """The targets of a service, kept up to date; `targets` may be empty.

    A target that is in the new list too keeps what is known of it. Calls in flight to one that is
    not end there.
    """

    def __init__(self, service: str, client: HttpClient) -> None:
        self._service = service
        self._client = client
        self._endpoints: Mapping[str, Endpoint] = {}
        self._resolved: dict[str, Resolved] = {}
        self._health: HealthCheck | None = None
        self._timeout = 0.0
        self._resolved_at = -math.inf
        self._resolving: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()
        self._by_key: dict[Key, Target] = {}
        self.totals: defaultdict[str, Totals] = defaultdict(Totals)
        self.targets: list[Target] = []

    @property
    def problems(self) -> Mapping[str, str]:
        """What keeps calls away from an endpoint, or from some of its addresses, by its URL."""
        return {url: each.problem for url, each in self._resolved.items() if each.problem}

    def update(self, upstream: Upstream) -> None:
        """Use these endpoints from now on."""
        self._health, self._timeout = upstream.health, upstream.timeout
        self._end_problems({*self._endpoints}.difference(upstream.endpoints))
        self._endpoints = {url: parse(url) for url in upstream.endpoints}
        self._resolved = {
            url: Resolved((endpoint.host,))
            if is_address(endpoint.host)
            else self._resolved.get(url, Resolved(()))
            for url, endpoint in self._endpoints.items()
        }
        self._build_targets()
        self._resolved_at = -math.inf
        self._start_resolving()

    async def wait_resolved(self) -> None:
        """Wait until the names were resolved once, if no target is known."""
        if self._resolving and not self.targets:
            await asyncio.wait([self._resolving])

    def maintain(self, now: float) -> None:
        """Start what is due: to resolve names again, and to check the health of targets."""
        if now - self._resolved_at >= RESOLVE_INTERVAL:
            self._start_resolving()
        if self._health:
            is_last = all(target.ejector.is_ejected for target in self.targets)
            for target in self.targets:
                is_due = target.ejector.is_due(now, is_last=is_last)
                is_in_use = not target.ejector.is_ejected
                if is_due or (is_in_use and now - target.checked_at >= self._health.interval):
                    target.checked_at = now
                    self._start(self._check(target, self._health))

    def clear(self) -> None:
        """Use no endpoints any more: the service was removed. Calls in flight end."""
        self.close()
        self._end_problems(self._endpoints)
        self._endpoints, self._resolved = {}, {}
        self._health = None
        self._build_targets()

    def close(self) -> None:
        """Cancel what is in flight besides calls."""
        for task in (*self._checks, *([self._resolving] if self._resolving else [])):
            task.cancel()

    def note_success(self, target: Target) -> None:
        """Note that a target answered."""
        if target.ejector.succeed():
            events.emit(
                events.SERVICE_ENDPOINT_RETURNED,
                service=self._service,
                endpoint=target.key.endpoint,
                address=target.key.address,
            )

    def note_failure(self, target: Target, reason: str, *, is_probe: bool) -> None:
        """Note that a call failed, for a reason such as `the connection was refused`."""
        now = asyncio.get_running_loop().time()
        if is_probe:
            target.ejector.fail_probe(now)
        elif target.ejector.fail(now):
            self._log_ejection(target, reason)

    def _log_ejection(self, target: Target, reason: str) -> None:
        target.totals.ejections += 1
        events.emit(
            events.SERVICE_ENDPOINT_EJECTED,
            service=self._service,
            endpoint=target.key.endpoint,
            address=target.key.address,
            reason=reason,
        )

    def _start_resolving(self) -> None:
        names = [url for url, each in self._endpoints.items() if not is_address(each.host)]
        if names and (self._resolving is None or self._resolving.done()):
            self._resolved_at = asyncio.get_running_loop().time()
            self._resolving = asyncio.create_task(self._resolve(names))

    async def _resolve(self, names: list[str]) -> None:
        endpoints = {url: self._endpoints[url] for url in names}
        found = await asyncio.gather(*map(resolve, endpoints.values()))
        for url, resolved in zip(endpoints, found, strict=True):
            if url in self._endpoints:
                self._note_resolved(url, resolved)
        self._build_targets()

    def _note_resolved(self, url: str, resolved: Resolved) -> None:
        """Keep the known addresses while the name cannot be resolved."""
        before = self._resolved[url]
        if resolved.problem and resolved.problem != before.problem:
            events.emit(
                events.SERVICE_ENDPOINT_UNRESOLVED,
                service=self._service,
                endpoint=url,
                reason=resolved.problem,
            )
        elif before.problem and not resolved.problem:
            events.emit(
                events.SERVICE_ENDPOINT_RETURNED, service=self._service, endpoint=url, address=""
            )
        kept = resolved.is_refused or resolved.addresses
        self._resolved[url] = resolved if kept else before._replace(problem=resolved.problem)

    def _build_targets(self) -> None:
        keys = [Key(url, a) for url, each in self._resolved.items() for a in each.addresses]
        for key in self._by_key.keys() - keys:
            if self._by_key[key].ejector.is_ejected:
                events.emit(
                    events.SERVICE_ENDPOINT_REMOVED,
                    service=self._service,
                    endpoint=key.endpoint,
                    address=key.address,
                )
        self._by_key = {
            key: self._by_key.get(key)
            or Target(key, self._endpoints[key.endpoint], self.totals[key.endpoint])
            for key in keys
        }
        self.targets = list(self._by_key.values())

    def _end_problems(self, removed: Iterable[str]) -> None:
        for url in removed:
            if self._resolved[url].problem:
                events.emit(
                    events.SERVICE_ENDPOINT_REMOVED, service=self._service, endpoint=url, address=""
                )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check(self, target: Target, health: HealthCheck) -> None:
        """Check the health of a target; of an ejected one this is the probe."""
        is_probe = target.ejector.is_ejected
        target.ejector.is_probed = is_probe
        try:
            problem = await self._ask(target, health)
        finally:
            if is_probe:
                target.ejector.is_probed = False
        now = asyncio.get_running_loop().time()
        target.failed_checks = target.failed_checks + 1 if problem else 0
        if is_probe:
            target.ejector.fail_probe(now) if problem else self.note_success(target)
        elif target.failed_checks == FAILED_CHECKS and not target.ejector.is_ejected:
            target.ejector.eject(now)
            self._log_ejection(target, f"its health check fails: {problem}")

    async def _ask(self, target: Target, health: HealthCheck) -> str:
        """Why a target is not well; empty if it is."""
        request = HttpRequest(
            "GET", target.at(health.path), {"host": target.host}, server_name=target.server_name
        )
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            answer = await self._client.send(request, deadline)
        except HttpError as error:
            return str(error)
        return "" if answer.status in _SUCCESS else f"it answered HTTP {answer.status}"
