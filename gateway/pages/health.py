"""The health pages on the public port: `/-/live` and `/-/ready`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.database.pool import Pool
from gateway.registry.follow import Registry


class Health:
    """Whether this worker is ready, and which problems it has."""

    def __init__(self, registry: Registry, pool: Pool) -> None:
        self.registry = registry
        self.pool = pool
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether there is a table to serve, and the worker is not stopping."""
        return self.registry.current is not None and not self.draining

    @property
    def problems(self) -> list[str]:
        """All problems of this worker, as sentences for operators."""
        pool = self.pool
        return [*self.registry.problems, *filter(None, (pool.problem, pool.refusals.problem))]

    def report(self) -> dict[str, Any]:
        """The body of the public `/-/ready`: each problem without its details, which may be secret.

        The details follow the first colon of a problem.
        """
        table = self.registry.current
        return {
            "ready": self.ready,
            "degraded": bool(self.problems),
            "draining": self.draining,
            "revision": table and table.revision,
            "trouble": [problem.partition(":")[0] for problem in self.problems],
        }

    def routes(self) -> list[Route]:
        """The pages, for a Starlette application."""
        return [Route("/-/live", self._live), Route("/-/ready", self._ready)]

    async def _live(self, _: Request) -> JSONResponse:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> JSONResponse:
        return JSONResponse(self.report(), 200 if self.ready else 503)
