"""The JSON Schemas that editors read, each with messages in the words of `gateway check`.

JSON Schema has no keyword `errorMessage`: editors show it instead of their own text. It belongs to
a whole schema, so a mapping with fixed keys has none, and the editor names the key itself.
"""

from collections.abc import Mapping
from typing import Any

from gateway.manifest import keywords
from gateway.manifest.params_schema import params_schema
from gateway.manifest.schema_check import in_words, manifest_schema

_SCHEMA_KEYS = ("params", "returns")
"""The keys of a route that may hold a schema."""


def editor_schema_of_manifests() -> dict[str, Any]:
    """The schema of `routes.yaml`, with that of schemas that are written into it."""
    document = manifest_schema()
    inner = params_schema()["$defs"]["schema"]
    route = document["$defs"]["route"]
    properties = {**route["properties"], **{key: _with_inner(route, key) for key in _SCHEMA_KEYS}}
    definitions = {
        **document["$defs"],
        "route": {**route, "properties": properties},
        "schema": inner,
    }
    return _worded({**document, "$defs": definitions})


def editor_schema_of_params() -> dict[str, Any]:
    """The schema of a file in `schemas/`."""
    return _worded(params_schema())


def _with_inner(route: dict[str, Any], key: str) -> dict[str, Any]:
    """A key that holds the name of a file or, now with its keywords, a schema."""
    file, _ = route["properties"][key]["oneOf"]
    # As a list: yaml-language-server joins two single types to a message of its own.
    allowed = [file, {"type": ["object"], "$ref": "#/$defs/schema"}]
    return {**route["properties"][key], "oneOf": allowed}


def _worded(schema: dict[str, Any], inherited: str = "") -> dict[str, Any]:
    """A schema with messages; `inherited` is the message of the choice that it is part of."""
    message = inherited or _message(schema)
    # An editor reports the part of a choice that fits best, with the message of that part.
    chosen = message if "x-allowed" in schema else ""
    worded = {
        key: _children(key, value, chosen) if key in keywords.PLACES else value
        for key, value in schema.items()
        if key != "x-allowed"
    }
    return {**worded, **_markdown(schema), **_error_message(schema, message)}


def _children(key: str, value: Any, chosen: str) -> Any:  # noqa: ANN401
    """The schemas that a keyword holds, with messages."""
    if isinstance(value, bool):
        return value
    if keywords.PLACES[key] == "one":
        return _worded(value)
    if isinstance(value, Mapping):
        return {name: _worded(child) for name, child in value.items()}
    return [_worded(child, chosen) for child in value]


def _error_message(schema: dict[str, Any], message: str) -> dict[str, str]:
    has_fixed_keys = "properties" in schema or "$ref" in schema
    return {} if has_fixed_keys or not message else {"errorMessage": message}


def _message(schema: dict[str, Any]) -> str:
    is_judged = not schema.keys().isdisjoint(("type", "enum", "const", "x-allowed"))
    return f"must be {in_words(schema)}" if is_judged else ""


def _markdown(schema: dict[str, Any]) -> dict[str, str]:
    """The description as Markdown, without which an editor shows back-ticks as they are."""
    text = schema.get("description", "")
    return {"markdownDescription": text} if "`" in text else {}
