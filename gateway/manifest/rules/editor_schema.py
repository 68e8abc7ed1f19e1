"""The JSON Schemas that editors read, each with messages in the words of `gateway check`.

Editors show `errorMessage`, which is not a keyword of JSON Schema, instead of their own text. It is
the message of every error of a schema. So an object with fixed keys has none: the editor's own text
names the wrong key.
"""

from collections.abc import Mapping
from typing import Any

from gateway.manifest.rules import keywords
from gateway.manifest.rules.params_schema import params_schema
from gateway.manifest.rules.schema_check import in_words, manifest_schema

_SCHEMA_KEYS = ("params", "returns")
"""The keys of a route that may hold a schema."""


def editor_schema_of_manifests() -> dict[str, Any]:
    """The schema of `routes.yaml`, and of the schemas that it may contain."""
    document = manifest_schema()
    inline = params_schema()["$defs"]["schema"]
    route = document["$defs"]["route"]
    properties = {**route["properties"], **{key: _with_inline(route, key) for key in _SCHEMA_KEYS}}
    definitions = {
        **document["$defs"],
        "route": {**route, "properties": properties},
        "schema": inline,
    }
    return _with_messages({**document, "$defs": definitions})


def editor_schema_of_params() -> dict[str, Any]:
    """The schema of a file in `schemas/`."""
    return _with_messages(params_schema())


def _with_inline(route: dict[str, Any], key: str) -> dict[str, Any]:
    """A key that holds the name of a schema file, or a schema whose keywords are checked too."""
    file, _ = route["properties"][key]["oneOf"]
    # `type` is a list, since yaml-language-server makes a message of its own from single types.
    allowed = [file, {"type": ["object"], "$ref": "#/$defs/schema"}]
    return {**route["properties"][key], "oneOf": allowed}


def _with_messages(schema: dict[str, Any], inherited: str = "") -> dict[str, Any]:
    """A schema with messages; `inherited` is the message of the `oneOf` that it is part of."""
    message = inherited or _message(schema)
    # An editor reports the part of a `oneOf` that fits best, with the message of that part.
    chosen = message if "x-allowed" in schema else ""
    copy = {
        key: _children(key, value, chosen) if key in keywords.PLACES else value
        for key, value in schema.items()
        if key != "x-allowed"
    }
    return {**copy, **_markdown(schema), **_error_message(schema, message)}


def _children(key: str, value: Any, chosen: str) -> Any:  # noqa: ANN401
    """The schemas that a keyword holds, with messages."""
    if isinstance(value, bool):
        return value
    if keywords.PLACES[key] == "one":
        return _with_messages(value)
    if isinstance(value, Mapping):
        return {name: _with_messages(child) for name, child in value.items()}
    return [_with_messages(child, chosen) for child in value]


def _error_message(schema: dict[str, Any], message: str) -> dict[str, str]:
    has_fixed_keys = "properties" in schema or "$ref" in schema
    return {} if has_fixed_keys or not message else {"errorMessage": message}


def _message(schema: dict[str, Any]) -> str:
    is_judged = not schema.keys().isdisjoint(("type", "enum", "const", "x-allowed"))
    return f"must be {in_words(schema)}" if is_judged else ""


def _markdown(schema: dict[str, Any]) -> dict[str, str]:
    """The description as Markdown; in other descriptions an editor shows back-ticks as they are."""
    text = schema.get("description", "")
    return {"markdownDescription": text} if "`" in text else {}
