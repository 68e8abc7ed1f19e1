"""SQL files: queries by name."""

from pathlib import Path

import pytest

from gateway.database.sql import load_queries


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The texts of files by path, so that the tests need no disk."""
    files: dict[str, str] = {}
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: files[f"{path} in {encoding}"])
    return files


def test_sql_queries_are_loaded_by_name(files: dict[str, str]) -> None:
    files["services/things.sql in utf-8"] = (
        "-- Things.\n\n"
        "-- name: read\n-- One thing.\nselect id\nfrom things\nwhere id = $1;\n\n"
        "-- name: count_all\n-- How many.\nselect count(*) from things -- name: no\n"
    )
    assert load_queries("services/things.sql") == {
        "read": "-- One thing.\nselect id\nfrom things\nwhere id = $1",
        "count_all": "-- How many.\nselect count(*) from things -- name: no",
    }


@pytest.mark.parametrize("path", ["services/things.py", Path("services/things.py")])
def test_sql_path_of_a_module_means_the_file_beside_it(
    files: dict[str, str], path: str | Path
) -> None:
    files["services/things.sql in utf-8"] = "-- name: read\nselect 1"
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
def test_sql_file_without_names_or_with_a_repeated_name_is_refused(
    files: dict[str, str], text: str
) -> None:
    files["things.sql in utf-8"] = text
    with pytest.raises(ValueError, match=r"things\.sql: each query needs its own name"):
        load_queries("things.sql")
