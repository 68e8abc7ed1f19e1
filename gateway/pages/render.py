"""Render the templates of the pages, with every value escaped."""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import orjson
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.responses import HTMLResponse

from gateway.pages import assets

TEMPLATES = Path(__file__).with_name("templates")

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""The headers of every page: a page loads nothing from another host, and no site frames it."""

NOTHING = "\N{EN DASH}"
"""What is written where there is no figure."""

MIN_WHOLE = 10
"""Milliseconds from which a duration is written without decimals."""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"inline": inline, "pretty": pretty, "ms": milliseconds}
    environment.globals["asset"] = assets.url
    return environment


@cache
def _markdown() -> MarkdownIt:
    # Not `html`: descriptions come from a registry that many people may write.
    return MarkdownIt("zero", {"html": False}).enable(["backticks", "emphasis"])


def inline(text: str) -> Markup:
    """Text of a record with back-ticks as code; everything else in it is escaped."""
    return Markup(_markdown().renderInline(text))  # noqa: S704 - the renderer escapes


def pretty(value: object) -> str:
    """JSON as people read it: a key a line."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def milliseconds(seconds: float | None) -> str:
    """A duration in milliseconds, with as many digits as matter."""
    if seconds is None:
        return NOTHING
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= MIN_WHOLE or value == 0 else f"{value:.1f} ms"


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - what the template needs
    """The text of a template with these values."""
    return _environment().get_template(template).render(values)


def page(template: str, code: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401
    """A page as an answer."""
    return HTMLResponse(render(template, **values), code, headers=HEADERS)
