"""The service `tours` in Python: it verifies each call, and answers as the gateway expects."""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["TOURS_SECRET"])
places = {"Denver": 2}
app = FastAPI()


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    return {"well": True}


@app.post("/tours/book")
async def book(request: Request) -> Any:
    try:
        call = webhook.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError:
        return JSONResponse({"message": "the signature is not valid"}, 401)
    city = call["params"]["city"]
    if city not in places:
        errors = [{"attr": "city", "message": "has no tour"}]
        return JSONResponse({"status": "invalid-param", "errors": errors}, 400)
    if places[city] == 0:
        return JSONResponse({"status": "tour-full"}, 409)
    places[city] -= 1
    return {"data": {"city": city, "left": places[city], "booked_by": call["caller"]["user_id"]}}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9000")))
