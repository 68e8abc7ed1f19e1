"""Sweeps: no statement of the gateway deletes an unlimited number of old rows."""

import re
from pathlib import Path

import gateway
from gateway.database.sql import load_queries

FILES = sorted(
    file
    for file in Path(gateway.__file__).parent.rglob("*.sql")
    if file.parent.name != "migrations" and "-- name:" in file.read_text(encoding="utf-8")
)
DELETES = {
    f"{file.parent.name}/{file.stem}.{name}": query
    for file in FILES
    for name, query in load_queries(file).items()
    if re.search(r"\bdelete\s+from\b", query)
}
AGE = re.compile(r"(<=?|>=?)\s*now\(\)")


def test_every_delete_by_age_has_a_limit_and_skips_locked_rows() -> None:
    by_age = {name: query for name, query in DELETES.items() if AGE.search(query)}
    assert len(by_age) >= 8
    for name, query in by_age.items():
        assert re.search(r"limit \$\d+ for update (of \w+ )?skip locked", query), name
        assert query.count("delete from") == 1, name


def test_every_other_delete_names_its_rows() -> None:
    others = {name for name, query in DELETES.items() if not AGE.search(query)}
    for name in others:
        assert re.search(r"where (id|name|user_id) = (any \()?\$1", DELETES[name]), name
