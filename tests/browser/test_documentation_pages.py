"""The documentation in a real browser: `make test-browser` installs it and runs these."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser
from support.browser import LOOKS, assert_fits_and_is_accessible, launched, visiting
from support.harness import settings
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker

CREATE = "/documentation/api/v1/order_stages/create"
PAGES = [
    "/documentation",
    "/documentation?q=order",
    "/documentation?q=apointments",
    CREATE,
    f"{CREATE}?revision=1",
    "/documentation/api/v1/order_stages/index",
    "/documentation/api/v1/sessions/create",
    "/documentation/services/statuses/%7Bid%3Aint%7D?method=PUT",
    "/documentation/api/v1/unknown",
    "/documentation/statuses",
    "/documentation/manifest",
    "/documentation/reference",
]


@pytest.fixture
async def url(database: str) -> AsyncIterator[str]:
    """The address of a gateway with the demo's data."""
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        yield server.url(listener)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_is_accessible_and_fits(browser: Browser, url: str, look: str) -> None:
    async with visiting(browser, url, **LOOKS[look]) as (page, problems):
        for path in PAGES:
            await page.goto(path)
            await assert_fits_and_is_accessible(page, problems)


@pytest.mark.parametrize("look", ["light", "dark phone"])
async def test_opened_operations_of_the_reference_are_accessible(
    browser: Browser, url: str, look: str
) -> None:
    async with visiting(browser, url, **LOOKS[look]) as (page, problems):
        for service in ("order_statuses", "sessions", "statuses"):
            await page.goto(f"/documentation/reference?service={service}")
            await page.locator(".opblock-tag").click()
            for operation in await page.locator(".opblock-summary-control").all():
                await operation.click()
                await operation.and_(page.locator("[aria-expanded=true]")).wait_for()
            await page.locator("table[aria-label^=Responses]").last.wait_for()
            await assert_fits_and_is_accessible(page, problems)


async def test_search_finds_a_route_from_the_keyboard(browser: Browser, url: str) -> None:
    async with visiting(browser, url) as (page, problems):
        await page.goto("/documentation/statuses")
        await page.keyboard.press("/")
        await page.keyboard.type("delivery_rush")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="/api/v1/order_stages/create").click()
        assert (
            await page.get_by_role("heading", level=1).text_content() == "Order Stages Create API"
        )
        assert problems == []


async def test_form_of_a_route_calls_it(browser: Browser, url: str, tokens: dict[str, str]) -> None:
    async with visiting(browser, url) as (page, problems):
        await page.goto(CREATE)
        await page.locator("[name=token]").fill(tokens["employee"])
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("200 ·").wait_for()
        answer = await page.locator("#try-answer").text_content()
        assert answer
        assert '"status": "action-successful"' in answer
        assert problems == []


async def test_form_of_a_sensitive_route_sends_base64(browser: Browser, url: str) -> None:
    async with visiting(browser, url) as (page, _):
        await page.goto("/documentation/api/v1/sessions/create")
        params = '{"email": "employee@example.com", "password": "demo-password", %s}'
        await page.locator("[name=params]").fill(params % '"application": "planoorder"')
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("200 ·").wait_for()


async def test_form_shows_a_refusal_and_params_that_are_not_json(
    browser: Browser, url: str
) -> None:
    async with visiting(browser, url) as (page, _):
        await page.goto(CREATE)
        await page.locator("[name=token]").fill("unknown")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("401 ·").wait_for()
        await page.locator("[name=params]").fill("{")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("The params are not JSON.").wait_for()


async def test_pages_need_no_script(browser: Browser, url: str) -> None:
    async with visiting(browser, url, java_script_enabled=False) as (page, _):
        await page.goto("/documentation")
        await page.get_by_role("searchbox").fill("appointments")
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name="/api/v1/appointments/create").click()
        await page.get_by_text("The form needs JavaScript").wait_for()
