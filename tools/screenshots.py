"""Write pictures of the console and the documentation to docs/screenshots/: light, dark, phone.

A gateway with demo data applies a second revision, and serves calls for a minute; some fail.
Samples of that minute are also written for the hour before it, so that the plots are full.
"""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx2
import orjson
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/screenshots"
CHROMIUM = os.environ.get("GATEWAY_TEST_CHROMIUM", "/usr/bin/chromium")
SECONDS = 60.0
START_TIMEOUT = 120.0
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
TABS = {
    "overview": "",
    "notifications": "/notifications",
    "routes": "/routes",
    "route": "/routes/order_stages.create",
    "revisions": "/revisions",
    "revision": "/revisions/2",
    "outbox": "/outbox?state=all",
    "workers": "/workers",
}
PAGES = {
    "documentation": "/documentation",
    "documentation-route": "/documentation/api/v1/order_stages/create",
}
REPEAT = """
insert into gateway.samples (at, sample)
select now() - n * interval '5 seconds',
    (select s.sample from gateway.samples s where n > 0 order by random() limit 1)
from generate_series(13, 720) n
"""
"""For each five seconds of the hour before, one sample of the minute, chosen at random."""

CREATE = "/api/v1/order_stages/create"
READ = "/api/v1/order_statuses/read"


class Dev(NamedTuple):
    """A running `gateway dev`: its addresses, and its application folder."""

    url: str
    admin: str
    folder: Path

    def read(self) -> dict[str, Any]:
        """The content of its `dev.json`."""
        written: dict[str, Any] = orjson.loads((self.folder / ".gateway/dev.json").read_bytes())
        return written


@contextmanager
def dev() -> Iterator[Dev]:
    """Run a gateway in a copy of the application, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="shots-") as name:
        folder = Path(name)
        shutil.copy(ROOT / "routes.yaml", folder)
        for part in ("schemas", "services"):
            shutil.copytree(ROOT / part, folder / part)
        port, admin = _free_ports()
        ports = {"GATEWAY_PORT": str(port), "GATEWAY_ADMIN_PORT": str(admin)}
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "dev"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **ports},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running = Dev(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", folder)
        try:
            _wait_until_ready(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _free_ports() -> tuple[int, int]:
    local = ("127.0.0.1", 0)
    with socket.create_server(local) as one, socket.create_server(local) as two:
        return one.getsockname()[1], two.getsockname()[1]


def _wait_until_ready(running: Dev) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        try:
            if httpx2.get(f"{running.url}/-/ready").status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError("gateway dev did not start")


async def call(running: Dev) -> None:
    """Make calls for a minute; the mail of order 99 fails, and some params are missing."""
    token = running.read()["tokens"]["employee"]
    async with httpx2.AsyncClient(base_url=running.url, timeout=30) as http:
        end = time.monotonic() + SECONDS
        for number in itertools.count():
            if time.monotonic() > end:
                return
            params: dict[str, Any] = {"token": token, "order_id": 7, "stage": "scheduled"}
            if number % 20:
                params["update_status"] = True
            if number % 300 == 1:
                params |= {"order_id": 99, "event_slug": "stage-changed"}
            await http.post(CREATE, json=params)
            await http.post(READ, json={"token": token})
            await asyncio.sleep(0.01)


def change_routes(running: Dev) -> None:
    """Save a manifest with a longer timeout and one role less; the gateway applies it."""
    path = running.folder / "routes.yaml"
    text = path.read_text()
    text = text.replace(
        "    idempotency: optional\n", "    idempotency: optional\n    timeout: 20s\n", 1
    )
    path.write_text(text.replace("planox2: [employee, liaison]", "planox2: [employee]", 1))


async def fill(running: Dev) -> None:
    """Give the console something to show."""
    change_routes(running)
    await call(running)
    connection = await asyncpg.connect(running.read()["database_url"])
    await connection.execute(REPEAT)
    await connection.close()


@asynccontextmanager
async def open_page(browser: Browser, look: dict[str, Any], address: str) -> AsyncIterator[Page]:
    """An empty page of a browser with this look."""
    context = await browser.new_context(base_url=address, **look)
    yield await context.new_page()
    await context.close()


async def take_pictures(page: Page, paths: dict[str, str], look: str) -> None:
    """Write one picture of each path."""
    for name, path in paths.items():
        await page.goto(path, wait_until="load")
        await page.wait_for_timeout(500)
        await page.screenshot(path=FOLDER / f"{name}-{look}.png")
        print(f"docs/screenshots/{name}-{look}.png")


async def sign_in(page: Page) -> None:
    """Sign in as the demo's employee."""
    await page.goto("/-/console/sign-in")
    await page.get_by_label("E-mail").fill("employee@example.com")
    await page.get_by_label("Password").fill("demo-password")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/-/console")


async def main() -> None:
    """Fill a gateway, and take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with dev() as running:
        await fill(running)
        async with async_playwright() as playwright:
            options = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
            for look, settings in LOOKS.items():
                async with open_page(browser, settings, running.admin) as page:
                    await sign_in(page)
                    tabs = {name: f"/-/console{path}" for name, path in TABS.items()}
                    await take_pictures(page, tabs, look)
                async with open_page(browser, settings, running.url) as page:
                    await take_pictures(page, PAGES, look)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
