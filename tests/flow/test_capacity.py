"""The warning about the server's maximum of connections counts all workers, on any machine."""

from support.harness import execute, settings

from gateway.serve import capacity
from gateway.serve.worker import DIRECT_CONNECTIONS, max_connections

WORKERS = """
insert into gateway.workers (id, name, revision, seen_at)
select gen_random_uuid(), 'elsewhere:' || n, 0, now() - make_interval(secs => $2)
from generate_series(1, $1::int) n
"""


async def limit_of(url: str) -> int:
    rows = await execute(
        url,
        "select current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int as n",
    )
    limit: int = rows[0]["n"]
    return limit


async def test_shortage_counts_the_workers_that_run_already(registry: str) -> None:
    limit, ours = await limit_of(registry), settings(registry, workers="2")
    assert await capacity.find_shortage(ours) is None
    others = limit // max_connections(ours)
    await execute(registry, WORKERS, others, 0.0)
    # Those that have long not reported are gone.
    await execute(registry, WORKERS, 1000, 100.0)
    needed = (others + 2) * max_connections(ours)
    assert await capacity.find_shortage(ours) == (needed, others, limit)


async def test_shortage_behind_a_pooler_counts_direct_connections_at_the_server(
    registry: str,
) -> None:
    pooled = settings(
        "postgresql://nobody@127.0.0.1:1/pooler",
        listen_database_url=registry,
        database_connections="5000",
    )
    assert await capacity.find_shortage(pooled) is None
    limit = await limit_of(registry)
    await execute(registry, WORKERS, limit, 0.0)
    needed = (limit + 1) * DIRECT_CONNECTIONS
    assert await capacity.find_shortage(pooled) == (needed, limit, limit)


async def test_shortage_is_unknown_without_a_server_and_found_before_the_first_migration(
    empty_database: str,
) -> None:
    many = {"database_connections": "5000"}
    assert await capacity.find_shortage(settings("postgresql://x@127.0.0.1:1/x", **many)) is None
    shortage = await capacity.find_shortage(settings(empty_database, **many))
    assert shortage is not None
    assert shortage.others == 0
