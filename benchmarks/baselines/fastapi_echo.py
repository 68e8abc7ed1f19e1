"""A bare echo in FastAPI with pydantic: no token, no log and no count."""

from fastapi import FastAPI
from fastapi_models import Stage

app = FastAPI()


@app.post("/api/v1/bench/echo", response_model_exclude_unset=True)
async def echo(stage: Stage) -> Stage:
    """Answer with the body."""
    return stage
