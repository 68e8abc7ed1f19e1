"""Checks the site that `make docs` has built: every link inside it leads somewhere, pictures too.

`python tools/check_site.py site` also refuses a page that loads anything from another host.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
"""Attributes whose address a browser fetches by itself."""

_IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^"')]*""")


class Page(HTMLParser):
    """The anchors of a page, and the addresses that it names: tag, attribute, address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchor and the addresses of one element."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in {"href", "src"} and value:
                self.addresses.append((tag, name, value))


def problems(site: Path) -> Iterator[str]:
    """What is wrong with a built site, page by page."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        if file.name == "404.html":
            # A server shows it at any address, so its own links start at the root.
            continue
        for tag, name, address in page.addresses:
            if problem := _problem(file, (tag, name), address, pages):
                yield f"{file.relative_to(site)}: {problem}: {address}"
    for file in sorted(site.rglob("*.css")):
        for address in _IN_CSS.findall(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)}: loads from another host: {address}"


def _problem(
    file: Path, attribute: tuple[str, str], address: str, pages: dict[Path, Page]
) -> str | None:
    """What is wrong with an address of a page, or None."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return "loads from another host" if attribute in LOADED else None
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file.resolve()
    if not target.is_file():
        return "leads to no file"
    page = pages.get(target)
    if parts.fragment and page and unquote(parts.fragment) not in page.anchors:
        return "leads to no anchor"
    return None


def main() -> None:
    """Print the problems of the site that is named, and exit 1 if there are any."""
    site = Path(sys.argv[1]).resolve()
    if not (site / "index.html").is_file():
        sys.exit(f"{site}: there is no site; run `make docs`")
    messages = list(problems(site))
    for message in messages:
        click.echo(message, err=True)
    sys.exit(bool(messages))


if __name__ == "__main__":
    main()
