"""The health pages on the public port: `/-/live` and `/-/ready`."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.database.availability import Availability
from gateway.database.pool import Pool
from gateway.registry.follow import Registry

DATABASE_GRACE = 1.0
"""Seconds without the database that `/-/ready?database` forgives: a pooler may be restarted."""


class Health:
    """Whether this worker is ready, and which problems it has.

    With `needs_database`, a worker that the database does not answer is not ready.
    """

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        availability: Availability,
        *,
        needs_database: bool = False,
    ) -> None:
        self.registry = registry
        self.pool = pool
        self.availability = availability
        self.needs_database = needs_database
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether the worker has a table and what else it needs, and is not stopping."""
        serves = self.registry.current is not None and not self.draining
        return serves and (self.has_database or not self.needs_database)

    @property
    def has_database(self) -> bool:
        """Whether the database has answered within the last second or so; see `Heartbeat`."""
        down_since = self.pool.down_since
        return down_since is None or time.monotonic() - down_since <= DATABASE_GRACE

    def code(self, request: Request) -> int:
        """The HTTP code of `/-/ready`; a client that asks for `?database` also requires that."""
        is_ready = self.ready and (self.has_database or "database" not in request.query_params)
        return 200 if is_ready else 503

    @property
    def problems(self) -> list[str]:
        """All problems of this worker, as sentences for operators."""
        pool = self.pool
        of_database = (
            pool.problem,
            self.availability.warning,
            pool.commits.problem,
            pool.refusals.problem,
        )
        return [*self.registry.problems, *filter(None, of_database)]

    def report(self) -> dict[str, Any]:
        """The body of the public `/-/ready`: each problem without its details, which may be secret.

        The details follow the first colon of a problem.
        """
        table = self.registry.current
        return {
            "ready": self.ready,
            "degraded": bool(self.problems),
            "draining": self.draining,
            "database": self.has_database,
            "revision": table and table.revision,
            "trouble": [problem.partition(":")[0] for problem in self.problems],
        }

    def routes(self) -> list[Route]:
        """The pages, for a Starlette application."""
        return [Route("/-/live", self._live), Route("/-/ready", self._ready)]

    async def _live(self, _: Request) -> JSONResponse:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> JSONResponse:
        return JSONResponse(self.report(), self.code(request))
