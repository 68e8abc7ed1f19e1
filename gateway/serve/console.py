"""The console of one worker: creates its parts, which `Worker` runs."""

import hmac
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.routing import Route

from gateway.database.pool import Pool
from gateway.identity.authenticator import Authenticator
from gateway.identity.credentials import Credentials
from gateway.identity.operators import OperatorStore
from gateway.monitoring.reporter import Reporter
from gateway.monitoring.state import State, WorkerView
from gateway.monitoring.watcher import Watcher
from gateway.pages.console.access import Access
from gateway.pages.console.console import Console
from gateway.pages.console.paths import LIVE, paths
from gateway.pages.console.stream import Streams
from gateway.pages.health import Health

KEY = "PLANO_CONSOLE_KEY"
"""The variable in which the supervisor hands its workers a common secret.

It is not a setting, and not named like one: a worker warns of unknown settings.
"""


def new_key() -> str:
    """A secret of the workers that one supervisor starts."""
    return secrets.token_hex(32)


class OperatorsConsole:
    """The console of one worker; `watcher` is to be run, `streams` are those that are open.

    `pool` is the background pool: the console takes no connection from calls.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        reporter: Reporter,
        health: Health,
        identity: Authenticator,
        credentials: Credentials,
        actions: Callable[[], Collection[str]],
    ) -> None:
        self.streams = Streams(LIVE)
        self._reporter = reporter
        self._health = health
        self.store = OperatorStore(pool)
        self.watcher = Watcher(pool, self._alone, held=self.streams.held, dropped=self.streams.drop)
        key = os.environ.get(KEY) or new_key()
        access = Access(
            pool=pool,
            store=self.store,
            identity=identity,
            credentials=credentials,
            key=hmac.digest(key.encode(), b"console", "sha256"),
        )
        self._console = Console(
            access=access,
            watcher=self.watcher,
            registry=health.registry,
            pool=pool,
            actions=actions,
            is_stopping=lambda: health.draining,
        )

    def routes(self) -> list[Route]:
        """The pages, for the Starlette application of the admin port."""
        return self._console.routes(paths(self.streams))

    def _alone(self) -> State:
        """The state as this worker knows it before the database has answered once."""
        registry, now = self._health.registry, datetime.now(UTC)
        figures: Mapping[str, Any] = self._reporter.figures()
        worker = WorkerView(
            name=registry.name,
            revision=figures["revision"],
            problem="; ".join(registry.problems) or None,
            seen_at=now,
            alive=True,
            figures=figures,
        )
        return State(
            at=now,
            workers=[worker],
            samples=[],
            open=[],
            open_count=0,
            resolved=[],
            outbox={},
            newest=registry.current.revision if registry.current else None,
            applied_at=None,
            problem=self._health.pool.problem or "it has not answered yet",
        )
