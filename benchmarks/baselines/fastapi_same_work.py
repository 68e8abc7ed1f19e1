"""The gateway's no-op in FastAPI: a dependency for the token, pydantic, and an observer."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_models import Stage
from fastapi_observer import Observer
from pydantic import BaseModel
from same_work import PATH, SESSIONS, may_call

Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


class Echoed(BaseModel):
    """The answer."""

    code: int
    status: str
    data: Stage


app = FastAPI()
app.add_middleware(Observer)


async def session(request: Request, token: Token) -> dict[str, Any]:
    """The caller's session, which must have a permitted role."""
    found = SESSIONS.get(token.credentials)
    if found is None:
        raise HTTPException(401, "invalid-token")
    request.state.session = found
    if not may_call(found):
        raise HTTPException(403, "permission-denied")
    return found


@app.post(PATH, dependencies=[Depends(session)], response_model_exclude_unset=True)
async def echo(stage: Stage) -> Echoed:
    """Answer the params."""
    return Echoed(code=200, status="action-successful", data=stage)
