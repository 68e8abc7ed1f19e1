"""A plan as Markdown: its order, what values cannot do to it, and what it never shows."""

from typing import Any

import pytest
from markdown_it import MarkdownIt

from gateway.cli.plan_markdown import markdown
from gateway.manifest.plan import Plan
from gateway.manifest.records.change import Change
from gateway.registry.revision import Revision

ROUTE = {
    "handler": "things.create",
    "method": "GET",
    "path": "/a",
    "deployed": True,
    "title": "T",
    "description": "",
    "auth": ["session"],
    "roles": None,
    "client_required": True,
    "sensitive_params": False,
    "envelope": "plano",
    "statuses": {},
    "timeout": 10.0,
    "max_body": 1000,
    "max_values": 1000,
    "idempotency": "off",
    "rate_limit": None,
    "params": "{}",
}
SERVICE = {"deployed": True, "title": "Mail"}


def changed(name: str, kind: Any = "route", /, **fields: Any) -> Change:
    before = ROUTE if kind == "route" else SERVICE
    return Change(kind=kind, name=name, before=before, after={**before, **fields})


def text(*changes: Change, left_alone: tuple[str, ...] = ()) -> str:
    return markdown(Plan("shop", Revision(4, None), list(changes), list(left_alone)))


def rows(*changes: Change) -> list[str]:
    return text(*changes).splitlines()[4:]


def test_changes_that_break_callers_come_first() -> None:
    found = rows(changed("a.a", title="A"), changed("b.b", method="PUT"), changed("c.c", title="C"))
    assert [row.split("`")[1] for row in found] == ["b.b", "a.a", "c.c"]
    assert found[0] == (
        '| change route `b.b` | `method: "GET" -> "PUT"` | `method changes from GET to PUT` |'
    )


def test_a_plan_without_changes_says_so() -> None:
    assert text(left_alone=("a.b",)).splitlines() == [
        "**Namespace `shop`**, at revision 4",
        "",
        "nothing to change",
        "",
        "- `a.b`: kept, although the manifest leaves it out; --prune deletes it",
    ]


@pytest.mark.parametrize(
    "title",
    [
        "a | b",
        "a `b` ``c``",
        "<img src=x onerror=alert(1)>",
        "@everyone ![x](http://h/y) **b** #1",
        "two\nlines | three",
        "back\\slash \\| bar",
    ],
)
def test_a_value_stays_one_code_span_of_its_cell(title: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(text(changed("a.a", title=title)))
    cells = [token for token in tokens if token.type == "inline"][-3:]
    assert [[child.type for child in cell.children or ()] for cell in cells] == [
        ["text", "code_inline"],
        ["code_inline"],
        [],
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("api_key", "sk-1234", "(hidden)"),
        ("webhook_secret", "s3cr3t", "(hidden)"),
        ("Password", 1234, "(hidden)"),
        ("tokens", ["a1b2", "c3d4"], "(hidden)"),
        ("database", "postgresql://ada:s3cr3t@db/x", "postgresql://(hidden)@db/x"),
        ("secret", "env:TOURS_SECRET", "env:TOURS_SECRET"),
        ("mail_template", "stage-changed", "stage-changed"),
        ("reset_url", "https://a.example/reset?x=1:2@3", "https://a.example/reset?x=1:2@3"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_secret_of_the_settings_is_never_shown(
    name: str, value: Any, shown: str, *, nested: bool
) -> None:
    settings = {name: value}
    change = changed("mail", "service", settings={"smtp": settings} if nested else settings)
    found = text(change)
    assert shown in found
    assert str(value) not in found or str(value) == shown
    assert "s3cr3t" not in found


def test_a_secret_that_changes_is_a_change_without_its_value() -> None:
    before = {**SERVICE, "settings": {"api_key": "sk-1"}}
    after = {**SERVICE, "settings": {"api_key": "sk-2"}}
    change = Change(kind="service", name="mail", before=before, after=after)
    assert '`settings.api_key: "(hidden)" -> "(hidden)"`' in text(change)
    assert change.as_object()["fields"] == [
        {"field": "settings.api_key", "before": "(hidden)", "after": "(hidden)"}
    ]
