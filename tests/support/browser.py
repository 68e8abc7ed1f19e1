"""A real browser, and what went wrong in it; only the tests of `make test-browser` import this."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = os.environ.get("GATEWAY_TEST_CHROMIUM", "/usr/bin/chromium")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
LOOKS: dict[str, dict[str, Any]] = {
    f"{scheme}{name}": {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    for scheme in ("light", "dark")
    for name, width in (("", 1280), (" phone", 390))
}


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Debian's chromium; fails where it is missing."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, **look: Any
) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page, and what went wrong on it: errors of its console, requests to other hosts."""
    context = await browser.new_context(base_url=url, **look)
    page, problems = await context.new_page(), list[str]()
    page.on("console", lambda message: _note(problems, message))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: _note_foreign(problems, request.url, url))
    yield page, problems
    await context.close()


async def assert_fits_and_is_accessible(page: Page, problems: list[str]) -> None:
    """Fail for a page that is too wide, that axe finds at fault, or that logged an error."""
    path = page.url
    too_wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert await page.evaluate(too_wide) <= 0, path
    results = await Axe().run(page)
    assert results.violations_count == 0, f"{path}\n{results.generate_report()}"
    assert problems == [], path


def _note(problems: list[str], message: Any) -> None:
    # A page that is not found is one of those that are visited.
    if message.type in {"error", "warning"} and "404" not in message.text:
        problems.append(message.text)


def _note_foreign(problems: list[str], requested: str, url: str) -> None:
    if not requested.startswith((url, "data:")):
        problems.append(f"a request to {requested}")
