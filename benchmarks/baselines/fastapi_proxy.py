"""A gateway as one would write it with FastAPI and httpx2: token, role, schema, signature, call."""

import base64
import hashlib
import hmac
import os
import time
import uuid
from typing import Any

import httpx2
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

KEY = base64.b64decode(os.environ["TOURS_SECRET"].removeprefix("whsec_"))
SESSIONS = {os.environ["TOKEN"]: {"user_id": 1, "application": "planoorder", "role": "employee"}}
app = FastAPI()
client = httpx2.AsyncClient(base_url=os.environ["UPSTREAM"], trust_env=False)


class Book(BaseModel):
    """The params, as the schema has them."""

    city: str
    notes: str = Field("", max_length=1000)


@app.post("/api/v1/tours/book")
async def book(params: Book, request: Request) -> Any:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    caller = SESSIONS.get(token)
    if caller is None or caller["role"] != "employee":
        raise HTTPException(401)
    body = orjson.dumps({"params": params.model_dump(), "caller": caller})
    message, now = uuid.uuid4().hex, str(int(time.time()))
    signed = f"{message}.{now}.".encode() + body
    digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    headers = {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{digest}",
    }
    response = await client.post("/tours/book", content=body, headers=headers)
    data = orjson.loads(response.content)["data"]
    return JSONResponse({"code": 200, "status": "action-successful", "data": data})


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False)
