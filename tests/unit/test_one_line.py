"""Texts of one line: what they refuse, and that the schemas of params refuse the same."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest
from support.harness import ROOT

from gateway.identity import one_line
from gateway.registry.schema.param_schema import subschemas

SCHEMAS = ("clients/register.json", "users/client_register.json")
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
DIRECTIONS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
NAMES = ("", "Ada", "Łucja O'Neil-Müller", "می\u200cخواهم", "🙂", "a\u00a0b")


def one_line_schemas() -> Iterator[dict[str, Any]]:
    for name in SCHEMAS:
        for schema in subschemas(orjson.loads((ROOT / "schemas" / name).read_bytes())):
            if schema.get("x-message") == one_line.MESSAGE:
                yield schema


@pytest.mark.parametrize("text", [*CONTROLS, *DIRECTIONS], ids=ascii)
def test_one_line_refuses_control_characters(text: str) -> None:
    assert not one_line.is_one_line(f"a{text}b")


@pytest.mark.parametrize("text", NAMES, ids=ascii)
def test_one_line_accepts_names(text: str) -> None:
    assert one_line.is_one_line(text)


def test_one_line_is_what_the_schemas_check() -> None:
    schemas = list(one_line_schemas())
    assert len(schemas) == 6
    texts = [f"a{chr(code)}b" for code in range(0x3000)]
    for schema in schemas:
        validator = jsonschema_rs.Draft202012Validator(schema)
        assert [text for text in texts if validator.is_valid(text)] == [
            text for text in texts if one_line.is_one_line(text)
        ]
