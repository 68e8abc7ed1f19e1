"""The table of the kinds of notifications has every kind that the gateway raises."""

import re

from support.harness import ROOT

from gateway.notifications.kinds import KINDS

IN_PYTHON = re.compile(r'kind=(?:"([a-z-]+)"|statuses\.([A-Z_]+)),\s*severity="([a-z]+)"')
IN_SQL = re.compile(r"raise_notification\(\s*'([a-z-]+)', '([a-z]+)'")


def test_kinds_are_those_that_the_code_raises_with_their_severity() -> None:
    raised = set()
    for file in (ROOT / "gateway").rglob("*.py"):
        for kind, constant, severity in IN_PYTHON.findall(file.read_text()):
            raised.add((kind or constant.lower().replace("_", "-"), severity))
    for file in (ROOT / "gateway").rglob("queries.sql"):
        raised.update(IN_SQL.findall(file.read_text()))
    assert raised == {(kind.name, kind.severity) for kind in KINDS}
