"""SQL files: named blocks, each with a name of its own."""

from pathlib import Path

import pytest

from gateway.database.sql import load_queries


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files as a dictionary, so that the test touches no disk."""
    files: dict[str, str] = {}
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: files[f"{path} in {encoding}"])
    return files


def test_queries_are_found_by_name(written: dict[str, str]) -> None:
    written["services/things.sql in utf-8"] = (
        "-- Things.\n\n"
        "-- name: read\n-- One thing.\nselect id\nfrom things\nwhere id = $1;\n\n"
        "-- name: count_all\n-- How many.\nselect count(*) from things -- name: no\n"
    )
    assert load_queries("services/things.sql") == {
        "read": "-- One thing.\nselect id\nfrom things\nwhere id = $1",
        "count_all": "-- How many.\nselect count(*) from things -- name: no",
    }


@pytest.mark.parametrize("path", ["services/things.py", Path("services/things.py")])
def test_the_file_beside_a_module_is_meant(written: dict[str, str], path: str | Path) -> None:
    written["services/things.sql in utf-8"] = "-- name: read\nselect 1"
    assert load_queries(path) == {"read": "select 1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "select 1;",
        "--name: read\nselect 1;",
        "-- name: read\nselect 1;\n-- name: read\nselect 2;",
        "-- name: two words\nselect 1;",
    ],
)
def test_a_file_without_names_or_with_one_name_twice_is_refused(
    written: dict[str, str], text: str
) -> None:
    written["things.sql in utf-8"] = text
    with pytest.raises(ValueError, match=r"things\.sql: each query needs a name of its own"):
        load_queries("things.sql")
