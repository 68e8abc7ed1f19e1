"""The create and the list in FastAPI with pydantic and asyncpg's pool, as its documentation shows.

Each request is logged and counted, as the gateway does.
A request uses one connection of the pool from the look-up of its token to its commit. Unlike the
gateway, it does not record when a session was last used, which saves one write.
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
from fastapi_observer import Observer
from same_work import may_call

SQL = {file.stem: file.read_text() for file in (Path(__file__).parent / "sql").glob("*.sql")}
CONNECTIONS = int(os.environ.get("CONNECTIONS", "16"))
MAX_AGE, MAX_IDLE = timedelta(days=7), timedelta(hours=72)


@contextlib.asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Hold the pool while the application runs."""
    sizes = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], **sizes) as pool:
        application.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(Observer)


async def database(request: Request) -> AsyncIterator[Any]:
    """A connection for the length of a request."""
    async with request.app.state.pool.acquire() as connection:
        yield connection


Database = Annotated[Any, Depends(database)]
Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def session(request: Request, db: Database, token: Token) -> Any:
    """The caller's session."""
    row = await db.fetchrow(SQL["session"], hashlib.sha256(token.credentials.encode()).digest())
    if row is None:
        raise HTTPException(401, "invalid-token")
    now = datetime.now(UTC)
    expired = now - row["created_at"] > MAX_AGE or now - row["last_used_at"] > MAX_IDLE
    if expired and not row["remember_me"]:
        raise HTTPException(401, "session-expired")
    request.state.session = row
    return row


Session = Annotated[Any, Depends(session)]


@app.post("/api/v1/order_stages/create")
async def create(stage: Stage, caller: Session, db: Database) -> Created:
    """Write both rows in one transaction."""
    if not may_call(caller):
        raise HTTPException(403, "permission-denied")
    async with db.transaction():
        order = await db.fetchrow(SQL["order"], stage.order_id, stage.order_request_id)
        if order is None:
            raise HTTPException(400, "invalid-param")
        name = f"{caller['first_name']} {caller['last_name']}"
        row = await db.fetchrow(SQL["stage"], *_stage(stage, order, caller, name))
        status = None
        if stage.update_status:
            status = await db.fetchrow(SQL["status"], *_status(stage, order, caller, name, row))
    rows = Rows(order_stage=dict(row), order_status=status and dict(status))
    return Created(code=200, status="action-successful", data=rows)


def _stage(stage: Stage, order: Any, caller: Any, name: str) -> list[Any]:
    return [
        *(order["order_id"], order["order_request_id"], stage.stage, stage.stage_trigger),
        *(stage.stage_at_mt, stage.created_at_mt, stage.created_by_id or caller["user_id"]),
        *(stage.created_by or name, stage.notes, stage.event_slug, stage.notified_at_mt),
    ]


def _status(stage: Stage, order: Any, caller: Any, name: str, row: Any) -> list[Any]:
    code = stage.client.client_billing_postal_code
    addons = stage.order.services_addon_array
    order_fields = stage.order.model_copy(
        update={"services_addon_array": orjson.dumps(addons).decode() if addons else None}
    )
    return [
        *(order["order_request_id"], order["order_id"], row["id"], row["stage"]),
        *(row["stage_trigger"], row["stage_start_at"]),
        stage.client.client_id or order["client_id"],
        order["billing_postal_code"] if code is None else f"{code:05d}",
        *(stage.updated_by_id or caller["user_id"], stage.updated_by or name),
        *(value for _, value in stage.appointment),
        *(value for _, value in order_fields),
    ]


@app.get("/services/statuses")
async def statuses(
    caller: Session,  # noqa: ARG001 - the route requires a session
    db: Database,
    created_at_min: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=250)] = 50,
    page: Annotated[int, Query(ge=1)] = 1,
) -> Statuses:
    """A page of statuses."""
    created_after = created_at_min and created_at_min.replace(tzinfo=UTC)
    rows = await db.fetch(SQL["statuses"], created_after, limit, (page - 1) * limit)
    return Statuses(statuses=[dict(row) for row in rows])
