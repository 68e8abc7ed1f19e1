"""The shape of the code: who may import whom, how long a file may be, what is public."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harness import ROOT

import gateway

MAX_LINES = 350
MAX_ROOMS = 25
MAX_FILES = 30

FILES = sorted((ROOT / "gateway").rglob("*.py"))
SOURCES = [
    file
    for folder in ("gateway", "services", "benchmarks", "tools")
    for file in sorted((ROOT / folder).rglob("*.py"))
]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path) -> Iterator[str]:
    """The names that a file imports, dotted."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_the_gateway_has_fewer_than_25_rooms() -> None:
    # `py.typed` is a marker for type checkers, not a room.
    others = {"__pycache__", "py.typed"}
    entries = [entry for entry in (ROOT / "gateway").iterdir() if entry.name not in others]
    assert len(entries) < MAX_ROOMS


def test_a_room_has_at_most_30_files() -> None:
    for folder in {file.parent for file in FILES}:
        files = [entry for entry in folder.iterdir() if entry.is_file()]
        assert len(files) <= MAX_FILES, folder


def test_init_files_hold_a_docstring_and_re_exports_alone() -> None:
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign)
    for file in (ROOT / "gateway").rglob("__init__.py"):
        for statement in re_exports(ast.parse(file.read_text()).body):
            assert isinstance(statement, allowed), f"{file}:{statement.lineno}: code in __init__.py"
            if isinstance(statement, ast.Assign):
                assert [ast.unparse(target) for target in statement.targets] == ["__all__"], file


def re_exports(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a file, and those that only type checkers or only programs see."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from (*statement.body, *statement.orelse)
        else:
            yield statement


def test_services_import_only_what_the_gateway_exports() -> None:
    for file in sorted((ROOT / "services").rglob("*.py")):
        for name in imported(file):
            if name.startswith("gateway"):
                assert name.removeprefix("gateway.") in gateway.__all__, f"{file.name}: {name}"


@pytest.mark.parametrize("file", SOURCES, ids=module_of)
def test_no_file_is_too_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_no_middleware_stands_before_the_pipeline() -> None:
    assert not [file for file in FILES if "BaseHTTPMiddleware" in file.read_text()]


def test_a_request_fits_on_one_screen() -> None:
    assert len((ROOT / "gateway" / "pipeline.py").read_text().splitlines()) <= 80


def test_no_sql_stands_in_python() -> None:
    verbs, clauses = "select|insert|update|delete", "from|into|set"
    statement = re.compile(rf"[\"']({verbs}) .*\b({clauses}) ", re.IGNORECASE)
    found = [file.name for file in FILES if statement.search(file.read_text())]
    assert found == []


def test_each_query_has_a_sentence() -> None:
    for file in sorted([*(ROOT / "gateway").rglob("*.sql"), *(ROOT / "services").rglob("*.sql")]):
        for block in re.split(r"^-- name: ", file.read_text(), flags=re.MULTILINE)[1:]:
            assert block.splitlines()[1].startswith("-- "), f"{file.name}: {block.splitlines()[0]}"
