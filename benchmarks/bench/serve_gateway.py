"""The gateway as `gateway serve` runs it, with the two actions that only the benchmarks need."""

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
    """Return the params: a no-op in the place of a service."""
    return Reply(call.params)


async def slow(call: Call) -> Reply:
    """Run a statement that takes `seconds`."""
    await call.db.fetchrow("select pg_sleep($1)", call.params["seconds"])
    return Reply({})


def actions() -> Actions:
    """The real actions and those of the benchmarks."""
    loaded = Actions.load()
    real = {name: action for name in loaded.names() if (action := loaded.find(name))}
    return Actions({**real, "bench.echo": echo, "bench.slow": slow})


async def serve(settings: Settings, port: int) -> None:
    """Serve with one worker until a signal stops it."""
    await server.serve(Worker(settings, actions()), settings, server.listen("127.0.0.1", port))


def main() -> None:
    """Serve on the port that the one argument names."""
    settings = Settings.load(os.environ)
    log.configure(settings.log_level)
    uvloop.run(serve(settings, int(sys.argv[1])))


if __name__ == "__main__":
    main()
