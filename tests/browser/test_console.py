"""The console in a real browser: what an operator does at 3 a.m."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import generated_routes
import pages
import pytest
from playwright.async_api import Browser, Page, Route, expect
from support.browser import LOOKS, assert_fits_and_is_accessible, launched, visiting
from support.console import NOTIFICATION
from support.harness import Client, execute
from support.mail import MailSetup, create, messages, set_client_email

from gateway.serve import server

CONSOLE = "/-/console"
RENEWED = """
() => new Promise((done) => {
  document.addEventListener("htmx:sse:after:message", () => done(1), { once: true });
})
"""
"""Waits for the next message of a live page."""

TABS = (
    *("", "/notifications", "/routes", "/routes?as=GET&path=/api/v1/orders", "/revisions"),
    *("/routes/order_stages.create", "/revisions/1", "/outbox", "/outbox/1", "/outbox/1/discard"),
    *("/outbox?state=all", "/services", "/workers", "/unknown"),
)


@pytest.fixture
async def client(setup: MailSetup) -> AsyncIterator[Client]:
    """A worker with the demo, whose mail goes to the stand-in."""
    async with setup.serving() as client:
        yield client


@pytest.fixture
async def url(client: Client) -> AsyncIterator[str]:
    """The address of the worker's admin port."""
    listener = server.listen("127.0.0.1", 0)
    async with server.beside(client.worker.admin.app, listener):
        yield server.url(listener)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


async def sign_in(page: Page, email: str = "employee@example.com") -> None:
    await page.goto(CONSOLE)
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill("demo-password")
    await page.get_by_role("button", name="Sign in").click()


async def fail_mail(client: Client) -> None:
    """Make a call whose mail the stand-in refuses."""
    await set_client_email(client, "payment@x.y")
    answer = await create(client)
    assert answer.json()["status"] == "mandrill-email-failed"


async def test_operator_sees_a_failure_mends_it_and_sees_it_heal(
    browser: Browser, client: Client, url: str
) -> None:
    async with visiting(browser, url) as (page, problems):
        await sign_in(page)
        await expect(page.get_by_text("All is well")).to_be_visible()
        await expect(page.locator("#liveness")).to_have_text("live")
        await fail_mail(client)
        # No reload: the page hears of it.
        await expect(page.get_by_role("link", name="Mail fails")).to_be_visible(timeout=10_000)
        await expect(page.locator("#open-count")).to_have_text("1")
        await page.get_by_role("link", name="Mail fails").click()
        await expect(page.get_by_text("What to do")).to_be_visible()
        await page.get_by_text("Its log line").click()
        await expect(page.get_by_text("outbox.attempt-failed")).to_be_visible()
        await execute(
            client.database_url,
            'update gateway.outbox set payload = payload || \'{"email": "client@example.com"}\'',
        )
        await page.get_by_role("button", name="Retry 1 message").click()
        await expect(page.get_by_text("No open notifications")).to_be_visible(timeout=10_000)
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("All is well")).to_be_visible()
        await expect(page.locator(".over")).to_contain_text("Mail fails")
        assert problems == []


async def test_console_works_without_script(browser: Browser, client: Client, url: str) -> None:
    async with visiting(browser, url, java_script_enabled=False) as (page, _):
        await sign_in(page)
        await fail_mail(client)
        await page.reload()
        await page.get_by_role("link", name="Mail fails").click()
        await page.get_by_role("button", name="Resolve").click()
        await expect(page.get_by_text("No open notifications")).to_be_visible()
        await page.get_by_role("link", name="Resolved").click()
        await expect(page.get_by_text("by employee@example.com")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible()


async def test_client_is_refused(browser: Browser, url: str) -> None:
    async with visiting(browser, url) as (page, _):
        await sign_in(page, "client@example.com")
        await expect(page.get_by_role("alert")).to_contain_text("may not enter")


async def test_keys_lead_to_the_tabs_and_to_the_search(browser: Browser, url: str) -> None:
    async with visiting(browser, url) as (page, problems):
        await sign_in(page)
        await expect(page.locator("#liveness")).to_have_text("live")
        for keys, heading in (("gn", "Notifications"), ("gw", "Workers"), ("go", "Overview")):
            for key in keys:
                await page.keyboard.press(key)
            await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            await expect(page.locator("#liveness")).to_have_text("live")
        await page.keyboard.press("?")
        await expect(page.get_by_role("heading", name="Keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("n")
        await expect(page.locator("#liveness")).to_have_text("live")
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        assert problems == []


async def test_search_finds_one_of_10_000_routes_and_explains_a_path_that_none_has(
    browser: Browser, client: Client, url: str, tmp_path: Path
) -> None:
    served = client.worker.registry.current
    assert served
    made = pages.build_table(generated_routes.write(tmp_path, 10_000), served.revision)
    made.revision_uid = served.revision_uid
    client.worker.registry.current = made
    wanted = [*made.routes.values()][7_777]
    async with visiting(browser, url) as (page, problems):
        await sign_in(page)
        await page.goto(f"{CONSOLE}/routes")
        await expect(page.get_by_text("10,000 routes")).to_be_visible()
        await page.get_by_label("Search").fill(f"{wanted.service} {wanted.name}")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name=wanted.name, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(wanted.name)
        await page.goto(f"{CONSOLE}/routes")
        await page.get_by_label("a request's path or URL").fill("/api/v1/nothing")
        await page.get_by_role("button", name="Explain").click()
        await expect(page.get_by_text("route-non-existent").first).to_be_visible()
        assert problems == []


async def test_page_is_live_however_late_its_scripts_arrive(browser: Browser, url: str) -> None:
    async def delay(route: Route) -> None:
        await asyncio.sleep(1)
        await route.continue_()

    async with visiting(browser, url) as (page, problems):
        await page.route("**/hx-sse-*.js", delay)
        await sign_in(page)
        await expect(page.locator("#liveness")).to_have_text("live")
        assert problems == []


async def test_focus_stays_where_it_is_while_the_page_renews_itself(
    browser: Browser, client: Client, url: str
) -> None:
    await execute(client.database_url, NOTIFICATION)
    async with visiting(browser, url) as (page, problems):
        await sign_in(page)
        await page.goto(f"{CONSOLE}/notifications")
        await expect(page.locator("#liveness")).to_have_text("live")
        copy = page.get_by_role("button", name="Copy r1")
        await copy.focus()
        for _ in range(2):
            await page.evaluate(RENEWED)
        await expect(copy).to_be_focused()
        assert problems == []


async def test_page_says_that_it_is_not_live(
    browser: Browser, client: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with visiting(browser, url) as (page, _):
        await sign_in(page)
        await expect(page.locator("#liveness")).to_have_text("live")
        monkeypatch.setattr(client.worker.health, "draining", True)
        await expect(page.locator("#liveness")).to_contain_text("not live since", timeout=15_000)
        monkeypatch.setattr(client.worker.health, "draining", False)
        await expect(page.locator("#liveness")).to_have_text("live", timeout=30_000)


@pytest.mark.parametrize("look", LOOKS)
async def test_every_tab_is_accessible_and_fits(
    browser: Browser, client: Client, url: str, look: str
) -> None:
    await fail_mail(client)
    [message] = await messages(client.database_url)
    error = urlencode({"error": message["last_error"]})
    async with visiting(browser, url, **LOOKS[look]) as (page, problems):
        await page.goto(CONSOLE)
        await assert_fits_and_is_accessible(page, problems)
        await sign_in(page)
        for tab in (*TABS, f"/outbox?{error}", f"/outbox/discard?{error}"):
            await page.goto(CONSOLE + tab)
            await assert_fits_and_is_accessible(page, problems)
