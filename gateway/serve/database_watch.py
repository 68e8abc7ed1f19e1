"""The loops that watch the database for a worker's pools."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.database.availability import Availability
from gateway.database.commit_watch import CommitWatch
from gateway.database.commits import Commits
from gateway.database.connect import address_of
from gateway.database.listen import Listener
from gateway.database.pool import Pool
from gateway.database.pooler import PoolerWatch
from gateway.settings import Settings


class DatabaseWatch:
    """Watches the server over its direct address, and the pooler if there is one.

    `loops` run as long as the pools are used.
    """

    def __init__(self, settings: Settings, pools: Sequence[Pool]) -> None:
        direct, url = settings.listen_database_url, settings.database_url
        max_age = settings.database_connection_age
        commits = Commits()
        for pool in pools:
            pool.commits = commits
        self.availability = Availability(*pools)
        self.listener = Listener(direct, self.availability, max_age=max_age)
        self.loops: list[Callable[[], Awaitable[None]]] = [
            self.listener.run,
            CommitWatch(direct, pools, commits).run,
        ]
        if address_of(direct) != address_of(url):
            self.loops.append(PoolerWatch(url, self.availability, pools, max_age=max_age).run)
