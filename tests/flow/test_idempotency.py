"""Idempotency keys: one execution, whether repeats come concurrently or after a failure."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from support.harness import Client, execute, serving
from support.manifests import applied, desired

from gateway import Call, Rejection, Reply
from gateway.manifest.check import Desired
from gateway.manifest.source.read import ManifestError
from gateway.upstreams.python import Actions

CREATE = "/api/v1/order_stages/create"
STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled"}


async def create(
    client: Client, key: str | None = "k", caller: str = "employee", **params: Any
) -> httpx2.Response:
    """Create a stage with an idempotency key."""
    headers = {"idempotency-key": key} if key is not None else {}
    return await client.post(
        CREATE, {"token": client.tokens[caller], **STAGE, **params}, headers=headers
    )


async def stages(client: Client) -> int:
    [row] = await execute(client.database_url, "select count(*) from order_stages")
    count: int = row["count"]
    return count


async def test_idempotency_repeat_gets_the_first_answer_and_runs_once(client: Client) -> None:
    first = await create(client)
    again = await create(client)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await stages(client) == 1


async def test_idempotency_concurrent_repeats_run_once(client: Client) -> None:
    answers = await asyncio.gather(*(create(client) for _ in range(100)))
    slugs = Counter(answer.json()["status"] for answer in answers)
    assert set(slugs) <= {"action-successful", "idempotency-conflict"}
    assert slugs["action-successful"] >= 1
    assert {a.status_code for a in answers} <= {200, 409}
    assert len({a.content for a in answers if a.status_code == 200}) == 1
    assert await stages(client) == 1
    assert (await create(client)).headers["idempotent-replayed"] == "true"


async def test_idempotency_key_with_other_params_is_refused(client: Client) -> None:
    await create(client)
    for change in ({"stage": "ready"}, {"notes": "more"}, {"order_id": 8}):
        answer = await create(client, **change)
        assert (answer.status_code, answer.json()["status"]) == (422, "idempotency-mismatch")
    assert await stages(client) == 1


async def test_idempotency_ignores_views_and_unknown_params(client: Client) -> None:
    await create(client)
    answer = await create(client, session_view="default", typo=1)
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json()["session"]["user_id"] == 1


async def test_idempotency_keys_are_separate_for_each_caller(client: Client) -> None:
    for caller in ("employee", "liaison", "application"):
        for key in ("a", "b", "a" * 255):
            answer = await create(client, key, caller)
            assert answer.status_code == 200
            assert "idempotent-replayed" not in answer.headers
    assert await stages(client) == 9


async def test_idempotency_stores_nothing_without_a_key(client: Client) -> None:
    for _ in range(2):
        assert (await create(client, None)).status_code == 200
    assert await stages(client) == 2
    assert not await execute(client.database_url, "select from gateway.idempotency")


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_idempotency_key_of_invalid_length_is_refused(client: Client, key: str) -> None:
    answer = await create(client, key)
    assert answer.json()["status"] == "invalid-param"
    assert answer.json()["errors"][0]["attr"] == "Idempotency-Key"


async def test_idempotency_does_not_store_a_refusal(client: Client) -> None:
    assert (await create(client, order_id=4711)).json()["status"] == "invalid-param"
    assert (await create(client)).json()["status"] == "action-successful"
    assert await stages(client) == 1


async def test_idempotency_stores_only_hashes_of_keys(client: Client) -> None:
    await create(client, "order-7-scheduled")
    [row] = await execute(client.database_url, "select * from gateway.idempotency")
    assert len(row["key"]) == len(row["fingerprint"]) == 32
    assert client.tokens["employee"] not in row["answer"]


REQUIRED = {
    "auth": ["session"],
    "idempotency": "required",
    "params": {"properties": {"what": {"type": "string"}}},
}


def required(folder: Path, **changes: Any) -> Desired:
    """A route for sessions that requires a key."""
    return desired(folder, {"kept.create": {**REQUIRED, **changes}})


class CompanyService:
    """A service that writes a row, and then fails as the param `what` says."""

    def __init__(self) -> None:
        self.runs = 0

    async def create(self, call: Call) -> Reply:
        self.runs += 1

        async def write(db: Any) -> None:
            await db.execute("insert into gateway.companies (name) values ('kept')")

        await call.db.transaction(write)
        what = call.params.get("what")
        if what == "crash":
            raise RuntimeError
        if what == "wrong":
            return {}  # type: ignore[return-value]
        if what == "refuse":
            raise Rejection("invalid-param")
        if what == "cut":
            await call.db.run(
                lambda db: db.execute("select pg_terminate_backend(pg_backend_pid())")
            )
        if what == "again" and self.runs == 1:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return Reply({"runs": self.runs})


@pytest.fixture
async def kept(database: str, tmp_path: Path) -> str:
    await applied(database, required(tmp_path))
    return database


@pytest.mark.parametrize(
    ("what", "status", "rows"),
    [
        ("fine", "action-successful", 1),
        ("again", "action-successful", 1),
        ("crash", "application-crash", 0),
        ("wrong", "application-crash", 0),
        ("refuse", "invalid-param", 0),
        ("cut", "service-unavailable", 0),
    ],
)
async def test_idempotency_commits_work_and_answer_together_or_not_at_all(
    kept: str, tokens: dict[str, str], what: str, status: str, rows: int
) -> None:
    service = CompanyService()
    actions = Actions({"kept.create": service.create})
    async with serving(kept, tokens, actions=actions) as client:

        async def call() -> httpx2.Response:
            headers = {"idempotency-key": "k", "authorization": f"Bearer {tokens['employee']}"}
            return await client.post("/api/v1/kept/create", {"what": what}, headers=headers)

        first = await call()
        assert first.json()["status"] == status
        for table in ("companies", "gateway.idempotency"):
            assert len(await execute(kept, f"select from {table}")) == rows
        again = await call()
        assert again.json()["status"] == status
        assert (again.headers.get("idempotent-replayed") == "true") == bool(rows)


async def test_idempotency_key_may_be_required_by_a_route(
    kept: str, tokens: dict[str, str]
) -> None:
    async with serving(
        kept, tokens, actions=Actions({"kept.create": CompanyService().create})
    ) as client:
        headers = {"authorization": f"Bearer {tokens['employee']}"}
        answer = await client.post("/api/v1/kept/create", {"what": "fine"}, headers=headers)
    assert answer.json()["status"] == "missing-param"
    assert answer.json()["errors"] == [{"attr": "Idempotency-Key", "message": "missing"}]


@pytest.mark.parametrize("change", [{"auth": "public"}, {"sensitive_params": True}])
def test_idempotency_of_a_public_or_sensitive_route_is_refused_by_check(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ManifestError, match="idempotency: must be off"):
        required(tmp_path, **change)


async def test_idempotency_key_of_a_route_replays_after_a_rename(
    kept: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    service = CompanyService()
    actions = Actions({"kept.create": service.create})
    headers = {"idempotency-key": "k", "authorization": f"Bearer {tokens['employee']}"}

    async def call() -> httpx2.Response:
        async with serving(kept, tokens, actions=actions) as client:
            return await client.post("/api/v1/kept/create", {"what": "fine"}, headers=headers)

    first = await call()
    same = {**REQUIRED, "handler": "kept.create", "path": "/api/v1/kept/create"}
    outcome = await applied(kept, desired(tmp_path, {"kept.made": same}))
    assert [change.verb for change in outcome.steps] == ["rename"]
    again = await call()
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert service.runs == 1
