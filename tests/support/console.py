"""The client of an operator: signs in to the console of a worker, and sends its forms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from gateway.dev.demo import OPERATOR, PASSWORD
from gateway.serve.worker import Worker
from support.html import Page

CONSOLE = "/-/console"
EMPLOYEE = OPERATOR
NOTIFICATION = (
    "select gateway.raise_notification"
    "('application-crash', 'error', 'x', 'KeyError at a.py:1', 'a.b', 'r1', now(), 1)"
)
"""A statement that raises a notification."""


class Console:
    """The pages of one worker's console, with the cookies of one browser."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str = "", **options: Any) -> httpx2.Response:
        """A page below the console; redirects are not followed."""
        return await self.http.get(CONSOLE + path, **options)

    async def page(self, path: str = "") -> Page:
        """A page that must be there."""
        response = await self.get(path)
        assert response.status_code == 200, response.text
        return Page(response.text)

    async def form_token(self, path: str) -> str:
        """The hidden value that the forms of a page have."""
        page = Page((await self.get(path)).text)
        [value, *_] = [
            field.attributes["value"]
            for field in page.root.all("input")
            if field.attributes.get("name") == "form"
        ]
        return value

    async def post(
        self, path: str, token: str, site: str = "same-origin", **fields: str
    ) -> httpx2.Response:
        """Send a form, from a page of the site that a browser would name in `Sec-Fetch-Site`."""
        data = {"form": token, **fields}
        return await self.http.post(CONSOLE + path, data=data, headers={"sec-fetch-site": site})

    async def act(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form as the overview's own page would."""
        return await self.post(path, await self.form_token(""), **fields)

    async def sign_in(self, email: str = EMPLOYEE, password: str = PASSWORD) -> httpx2.Response:
        """Fill in the form that signs in."""
        token = await self.form_token("/sign-in")
        return await self.post("/sign-in", token, email=email, password=password)


@asynccontextmanager
async def visiting(worker: Worker, address: str = "192.0.2.7") -> AsyncIterator[Console]:
    """A browser at the admin port of a worker."""
    transport = httpx2.ASGITransport(worker.admin.app, client=(address, 50000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://admin") as http:
        yield Console(http)


@asynccontextmanager
async def signed_in(worker: Worker) -> AsyncIterator[Console]:
    """The browser of the demo's employee, who may act."""
    async with visiting(worker) as console:
        response = await console.sign_in()
        assert response.status_code == 303, response.text
        yield console
