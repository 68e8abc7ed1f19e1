"""The check of the built site: what it refuses, and what it lets pass."""

from pathlib import Path

import check_site
import pytest


def problems(folder: Path, body: str) -> list[str]:
    (folder / "index.html").write_text(f"<h1 id='top'>Home</h1>{body}")
    (folder / "other.html").write_text("<h1 id='a b'>Other</h1>")
    return list(check_site.problems(folder))


@pytest.mark.parametrize(
    "body",
    [
        "<a href='#top'>up</a>",
        "<a href='other.html#a%20b'>other</a>",
        "<a href='https://example.com/'>elsewhere</a>",
        "<img src='data:image/png;base64,AA=='>",
    ],
)
def test_sound_links_pass(tmp_path: Path, body: str) -> None:
    assert problems(tmp_path, body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<a href='gone.html'>x</a>", "leads to no file"),
        ("<img src='gone.svg'>", "leads to no file"),
        ("<a href='#gone'>x</a>", "leads to no anchor"),
        ("<a href='other.html#top'>x</a>", "leads to no anchor"),
        ("<script src='https://example.com/x.js'></script>", "loads from another host"),
        ("<link rel='stylesheet' href='//example.com/x.css'>", "loads from another host"),
    ],
)
def test_a_broken_link_or_a_foreign_file_is_named(tmp_path: Path, body: str, problem: str) -> None:
    [found] = problems(tmp_path, body)
    assert found.startswith(f"index.html: {problem}: ")


def test_a_stylesheet_that_loads_from_another_host_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.css").write_text("a{background:url('https://example.com/x.png')}")
    assert problems(tmp_path, "") == [
        "main.css: loads from another host: url('https://example.com/x.png"
    ]
