"""The shape of the code: who may import whom, how long a file may be, what is public."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT

import gateway

STAGES = {"match", "decode", "resolve", "authenticate", "validate", "dispatch", "respond"}
ROWS = [
    {"statuses", "addresses", "paths", "ids", "log", "until"},
    {"edge"},
    {"settings"},
    {"values", "metrics"},
    {"exchange", "database", "rendered"},
    {"schema", "embedded"},
    {"registry"},
    {"identity", "mail"},
    {"upstreams"},
    {"actions"},
    {*STAGES, "manifest", "notifications"},
    {"pipeline"},
    {"app", "site"},
    {"admin"},
    {"worker"},
    {"server"},
    {"dev"},
    {"cli"},
    {"__main__"},
]
"""A file imports only from rows above its own."""

LONGEST = 350

FILES = sorted((ROOT / "gateway").rglob("*.py"))
SOURCES = [
    file
    for folder in ("gateway", "services", "docs", "benchmarks")
    for file in sorted((ROOT / folder).rglob("*.py"))
]


def area(module: str) -> str:
    """`gateway.registry.table` belongs to `registry`."""
    return [*module.split("."), ""][1]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports when it runs; imports for types alone do not count."""
    for node in ast.walk(_without_type_checking(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _without_type_checking(tree: ast.Module) -> ast.Module:
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and _is_type_checking(node))
    ]
    return tree


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_a_file_imports_only_from_rows_above(file: Path) -> None:
    own = area(module_of(file))
    if not own:
        return
    row = next(place for place, names in enumerate(ROWS) if own in names)
    above = set().union(*ROWS[:row])
    for name in imported(file):
        other = area(name)
        if name.startswith("gateway.") and other != own:
            assert other in above, f"{own} imports {name}"


def test_every_file_has_its_row() -> None:
    assert {area(module_of(file)) for file in FILES} - {""} == set().union(*ROWS)


def test_no_stage_knows_another() -> None:
    for file in FILES:
        own = area(module_of(file))
        if own in STAGES:
            others = {area(name) for name in imported(file) if name.startswith("gateway.")}
            assert not (others & STAGES) - {own}


def test_services_import_only_what_the_gateway_exports() -> None:
    for file in sorted((ROOT / "services").rglob("*.py")):
        for name in imported(file):
            if name.startswith("gateway"):
                assert name.removeprefix("gateway.") in gateway.__all__, f"{file.name}: {name}"


@pytest.mark.parametrize("file", SOURCES, ids=module_of)
def test_no_file_is_too_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST


def test_no_middleware_stands_before_the_pipeline() -> None:
    assert not [file for file in FILES if "BaseHTTPMiddleware" in file.read_text()]


def test_a_request_fits_on_one_screen() -> None:
    assert len((ROOT / "gateway" / "pipeline.py").read_text().splitlines()) <= 132


def test_no_sql_stands_in_python() -> None:
    statement = re.compile(r"[\"'](select|insert|update|delete) .*(from|into|set) ", re.IGNORECASE)
    found = [file.name for file in FILES if statement.search(file.read_text())]
    assert found == []


def test_each_query_has_a_sentence() -> None:
    for file in sorted([*(ROOT / "gateway").rglob("*.sql"), *(ROOT / "services").rglob("*.sql")]):
        for block in re.split(r"^-- name: ", file.read_text(), flags=re.MULTILINE)[1:]:
            assert block.splitlines()[1].startswith("-- "), f"{file.name}: {block.splitlines()[0]}"
