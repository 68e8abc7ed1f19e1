"""The actions behind the routes of `probe/routes.yaml`."""

import asyncio

from gateway import Call, Rejection, Reply
from gateway.manifest.apply import Author, apply
from gateway.manifest.check import check
from gateway.upstreams.python import Actions
from support.harness import ROOT, on

SECRET = "a text that must not reach any log"


async def echo(call: Call) -> Reply:
    return Reply(call.params)


async def slow(_: Call) -> Reply:
    await asyncio.sleep(60)
    raise AssertionError


async def late(call: Call) -> Reply:
    await call.db.fetchrow("select pg_sleep(60)")
    raise AssertionError


async def crash(call: Call) -> Reply:
    raise RuntimeError(call.params.get("text", SECRET))


async def own(_: Call) -> Reply:
    raise Rejection("probe-refused", "Not today.")


async def stray(_: Call) -> Reply:
    raise Rejection("probe-refused")


def actions() -> Actions:
    loaded = Actions.load()
    probes = {"echo": echo, "slow": slow, "late": late, "crash": crash, "own": own, "stray": stray}
    real = {name: action for name in loaded.names() if (action := loaded.find(name))}
    return Actions({**real, **{f"probe.{name}": probe for name, probe in probes.items()}})


async def apply_probe(database: str) -> None:
    for desired in check(ROOT / "tests" / "probe" / "routes.yaml"):
        await on(database, lambda db, d=desired: apply(db, d, Author("tests")))  # type: ignore[misc]
