"""The gateway as `gateway serve` has it, with the two actions that only the benchmarks need."""

import os
import sys

import uvloop

from gateway import Call, Reply
from gateway.runtime import log
from gateway.serve import server
from gateway.serve.worker import Worker
from gateway.settings import Settings
from gateway.upstreams.python import Actions


async def echo(call: Call) -> Reply:
    """The no-op that stands where the service would."""
    return Reply(call.params)


async def slow(call: Call) -> Reply:
    """A statement that takes long."""
    await call.db.fetchrow("select pg_sleep($1)", call.params["seconds"])
    return Reply({})


def actions() -> Actions:
    """The real actions and these."""
    loaded = Actions.load()
    real = {name: found for name in loaded.names() if (found := loaded.find(name))}
    return Actions({**real, "bench.echo": echo, "bench.slow": slow})


async def serve(settings: Settings, port: int) -> None:
    """One worker, until it is told to stop."""
    await server.serve(Worker(settings, actions()), settings, server.listen("127.0.0.1", port))


def main() -> None:
    """Serve on the port of the one argument."""
    settings = Settings.load(os.environ)
    log.configure(settings.log_level)
    uvloop.run(serve(settings, int(sys.argv[1])))


if __name__ == "__main__":
    main()
