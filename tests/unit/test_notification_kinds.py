"""The table of the kinds of notifications has every kind that the gateway raises."""

import re

from support.harness import ROOT

from gateway.notifications.kinds import KINDS

# Python looks the severity up in the table; SQL repeats it.
IN_PYTHON = re.compile(r'Notice\(\s*(?:#.*\s*)?kind=(?:"([a-z-]+)"|statuses\.([A-Z_]+)),')
IN_SQL = re.compile(r"raise_notification\(\s*'([a-z-]+)', '([a-z]+)'")


def _raised_by_python() -> set[str]:
    return {
        kind or constant.lower().replace("_", "-")
        for file in (ROOT / "gateway" / "notifications").glob("*.py")
        for kind, constant in IN_PYTHON.findall(file.read_text())
    }


def _raised_by_sql() -> dict[str, str]:
    files = (ROOT / "gateway").rglob("queries.sql")
    return dict(pair for file in files for pair in IN_SQL.findall(file.read_text()))


def test_kinds_are_those_that_the_code_raises() -> None:
    assert _raised_by_python() | _raised_by_sql().keys() == {kind.name for kind in KINDS}


def test_severity_in_sql_is_the_severity_of_the_table() -> None:
    table = {kind.name: kind.severity for kind in KINDS}
    in_sql = _raised_by_sql()
    assert in_sql
    assert in_sql == {name: table[name] for name in in_sql}
