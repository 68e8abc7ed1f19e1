"""The page on reliability names tests, programs, settings and statuses that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from support.harness import ROOT

from gateway import statuses
from gateway.manifest.check import check
from gateway.runtime.metric_catalogue import METRICS
from gateway.settings import SETTINGS

PAGE = (ROOT / "docs" / "explanation" / "reliability.md").read_text()
TESTS = sorted(set(re.findall(r"`(\w+/test_\w+\.py)::(\w+)`", PAGE)))
ROW = re.compile(r"^\| (\d+)\. ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
REQUIREMENTS = ROW.findall(PAGE)
TEST_VARIABLES = {"GATEWAY_TEST_FLIPS"}


@cache
def functions_of(file: Path) -> frozenset[str]:
    """The names of the tests of a file."""
    body = ast.parse(file.read_text()).body
    return frozenset(
        node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize(("file", "name"), TESTS, ids="::".join)
def test_a_test_of_the_page_exists(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions_of(ROOT / "tests" / file)


def test_each_mention_of_a_test_has_a_file_and_a_name() -> None:
    mentions = re.findall(r"`[^`]*\btest_\w+[^`]*`", PAGE)
    assert sorted(set(mentions)) == sorted(f"`{file}::{name}`" for file, name in TESTS)


def test_a_program_of_the_page_exists() -> None:
    programs = set(re.findall(r"benchmarks/\w+\.py", PAGE))
    assert programs
    assert [program for program in programs if not (ROOT / program).exists()] == []


def test_a_setting_or_metric_of_the_page_exists() -> None:
    known = {setting.variable for setting in SETTINGS} | {metric.name for metric in METRICS}
    named = set(re.findall(r"(?i)\bgateway_\w+", PAGE))
    assert named - known - TEST_VARIABLES == set()


def test_a_status_of_the_page_has_the_code_of_the_catalogue() -> None:
    codes = {status.slug: status.http for status in statuses.catalogue()}
    for desired in check(ROOT / "routes.yaml"):
        for route in desired.routes.values():
            codes |= {slug: own["http"] for slug, own in route.record["statuses"].items()}
    named = re.findall(r"`([a-z-]+)` \((\d{3})\)", PAGE)
    assert named
    assert {(slug, int(code)) for slug, code in named} <= codes.items()


def test_each_requirement_is_marked_and_one_that_is_met_names_its_test() -> None:
    assert [int(number) for number, *_ in REQUIREMENTS] == [*range(1, 33)]
    for number, _, mark, tests, figure in REQUIREMENTS:
        assert mark in {"met", "in part", "not"}, number
        assert figure.strip(), number
        assert mark == "not" or "::test_" in tests, number
