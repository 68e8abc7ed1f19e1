"""The same three routes in FastAPI with pydantic and asyncpg's pool, as its documentation has it.

One connection of the pool serves a request from its token's look-up to its commit. It does not
write when a session was last used, which the gateway does: one write less than the same work.
"""

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_models import Created, Rows, Stage, Statuses

SQL = {file.stem: file.read_text() for file in (Path(__file__).parent / "sql").glob("*.sql")}
ROLES = {"employee", "liaison"}
CONNECTIONS = int(os.environ.get("CONNECTIONS", "16"))
OLDEST, MAX_IDLE_SECONDS = timedelta(days=7), timedelta(hours=72)


@contextlib.asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Hold the pool while the application runs."""
    sizes = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], **sizes) as pool:
        application.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def database(request: Request) -> AsyncIterator[Any]:
    """A connection for the length of a request."""
    async with request.app.state.pool.acquire() as connection:
        yield connection


Database = Annotated[Any, Depends(database)]
Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def session(db: Database, token: Token) -> Any:
    """The caller's session."""
    found = await db.fetchrow(SQL["session"], hashlib.sha256(token.credentials.encode()).digest())
    if found is None:
        raise HTTPException(401, "invalid-token")
    now = datetime.now(UTC)
    old = now - found["created_at"] > OLDEST or now - found["last_used_at"] > MAX_IDLE_SECONDS
    if old and not found["remember_me"]:
        raise HTTPException(401, "session-expired")
    return found


Session = Annotated[Any, Depends(session)]


@app.post("/api/v1/bench/echo", response_model_exclude_unset=True)
async def echo(stage: Stage) -> Stage:
    """Answer the body: no token."""
    return stage


@app.post("/api/v1/order_stages/create")
async def create(stage: Stage, caller: Session, db: Database) -> Created:
    """Both rows in one transaction."""
    if caller["application"] != "planoorder" or not ROLES.intersection(caller["roles"]):
        raise HTTPException(403, "permission-denied")
    async with db.transaction():
        order = await db.fetchrow(SQL["order"], stage.order_id, stage.order_request_id)
        if order is None:
            raise HTTPException(400, "invalid-param")
        name = f"{caller['first_name']} {caller['last_name']}"
        made = await db.fetchrow(SQL["stage"], *_stage(stage, order, caller, name))
        status = None
        if stage.update_status:
            status = await db.fetchrow(SQL["status"], *_status(stage, order, caller, name, made))
    rows = Rows(order_stage=dict(made), order_status=status and dict(status))
    return Created(code=200, status="action-successful", data=rows)


def _stage(stage: Stage, order: Any, caller: Any, name: str) -> list[Any]:
    return [
        *(order["order_id"], order["order_request_id"], stage.stage, stage.stage_trigger),
        *(stage.stage_at_mt, stage.created_at_mt, stage.created_by_id or caller["user_id"]),
        *(stage.created_by or name, stage.notes, stage.event_slug, stage.notified_at_mt),
    ]


def _status(stage: Stage, order: Any, caller: Any, name: str, made: Any) -> list[Any]:
    code = stage.client.client_billing_postal_code
    addons = stage.order.services_addon_array
    about = stage.order.model_copy(
        update={"services_addon_array": orjson.dumps(addons).decode() if addons else None}
    )
    return [
        *(order["order_request_id"], order["order_id"], made["id"], made["stage"]),
        *(made["stage_trigger"], made["stage_start_at"]),
        stage.client.client_id or order["client_id"],
        order["billing_postal_code"] if code is None else f"{code:05d}",
        *(stage.updated_by_id or caller["user_id"], stage.updated_by or name),
        *(value for _, value in stage.appointment),
        *(value for _, value in about),
    ]


@app.get("/services/statuses")
async def statuses(
    caller: Session,  # noqa: ARG001 - that there is one
    db: Database,
    created_at_min: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=250)] = 50,
    page: Annotated[int, Query(ge=1)] = 1,
) -> Statuses:
    """A page of statuses."""
    made_after = created_at_min and created_at_min.replace(tzinfo=UTC)
    rows = await db.fetch(SQL["statuses"], made_after, limit, (page - 1) * limit)
    return Statuses(statuses=[dict(row) for row in rows])
