"""The documentation in a manifest: where `returns` comes from, and what is stored."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.manifest.check import check
from gateway.manifest.source.read import ManifestError

TEXT: dict[str, Any] = {"type": "object", "properties": {"b": {"type": "string"}, "a": {}}}
NUMBER: dict[str, Any] = {"type": "integer"}
USUAL = {"method": "POST", "deployed": True, "title": "T", "auth": "public", "params": {}}


def stored(folder: Path, **fields: Any) -> dict[str, Any]:
    """The record of the only route of a manifest in a folder. Raises ManifestError."""
    service = {"kind": "python", "deployed": True, "title": "T"}
    document = {
        "version": 1,
        "namespace": "test",
        "services": {"things": service},
        "routes": {"things.create": {**USUAL, **fields}},
    }
    file = folder / "routes.yaml"
    file.write_bytes(orjson.dumps(document))  # JSON is YAML
    [state] = check(file)
    record: dict[str, Any] = state.routes["things.create"].record
    return record


def write(file: Path, schema: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(orjson.dumps(schema))
    return file


def errors(folder: Path, **fields: Any) -> str:
    with pytest.raises(ManifestError) as refused:
        stored(folder, **fields)
    return str(refused.value)


def test_returns_is_the_file_of_the_action_by_default(tmp_path: Path) -> None:
    assert "returns" not in stored(tmp_path)
    write(tmp_path / "schemas" / "things" / "create.returns.json", TEXT)
    write(tmp_path / "schemas" / "things" / "delete.returns.json", NUMBER)
    assert orjson.loads(stored(tmp_path)["returns"]) == TEXT
    other = stored(tmp_path, handler="things.delete", path="/things")
    assert orjson.loads(other["returns"]) == NUMBER


def test_returns_may_name_a_file_or_hold_the_schema(tmp_path: Path) -> None:
    write(tmp_path / "schemas" / "things" / "create.returns.json", TEXT)
    write(tmp_path / "answers" / "number.json", NUMBER)
    assert orjson.loads(stored(tmp_path, returns="answers/number.json")["returns"]) == NUMBER
    assert orjson.loads(stored(tmp_path, returns=NUMBER)["returns"]) == NUMBER


def test_returns_keeps_the_order_of_keys(tmp_path: Path) -> None:
    record = stored(tmp_path, returns=TEXT, examples={"returns": {"b": "x", "a": 1}})
    assert [*orjson.loads(record["returns"])["properties"]] == ["b", "a"]
    assert record["examples"] == '{"returns":{"b":"x","a":1}}'


def test_returns_cannot_be_read_from_outside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    write(tmp_path / "number.json", NUMBER)
    assert "things.create: returns: " in errors(folder, returns="../number.json")
    assert "outside" in errors(folder, returns="../number.json")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "text"}, "type must be one of"),
        ({"titel": "T"}, "unknown keyword titel"),
        ({"properties": {"a": {}}, "required": ["b"]}, "required names b"),
        ({"pattern": "(?=a)"}, "cannot be compiled"),
        ([], "must be"),
    ],
)
def test_returns_with_a_mistake_is_named_with_its_file(
    tmp_path: Path, schema: Any, message: str
) -> None:
    file = write(tmp_path / "schemas" / "things" / "create.returns.json", schema)
    text = errors(tmp_path)
    assert "routes: things.create: returns: " in text
    assert str(file) in text
    assert message in text


def test_documentation_that_a_manifest_leaves_out_is_not_stored(tmp_path: Path) -> None:
    ours = {"returns", "examples", "documented", "deprecated", "sunset"}
    assert not ours & set(stored(tmp_path))
    # What is said to be as it is anyway changes nothing in a plan.
    assert not ours & set(stored(tmp_path, documented=True, examples={}))
    full = {"documented": False, "deprecated": "2026-12-01", "sunset": "2026-12-01"}
    record = stored(tmp_path, returns={}, examples={"params": {}}, **full)
    assert {name: record[name] for name in full} == full
    assert record["examples"] == '{"params":{}}'
