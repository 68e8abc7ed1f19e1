"""Which values mean that a param is absent: null, or empty text, where the schema takes neither.

Serialisers of typed models write null for an unset value, and a form sends an empty field as empty
text.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

Resolve: TypeAlias = Callable[[str], Any]
"""The target of a `$ref`."""

EMPTY = "x-empty"
"""The keyword `"x-empty": "absent"`: empty text means absent in JSON too."""

_NEVER_EMPTY = {
    *("date", "date-time", "time", "duration", "email", "idn-email", "hostname", "idn-hostname"),
    *("ipv4", "ipv6", "uri", "iri", "uuid", "relative-json-pointer"),
}
"""The formats that empty text does not have."""


def absent_values(schemas: Iterable[Any], resolve: Resolve, *, empty: bool) -> tuple[object, ...]:
    """The values of JSON that mean absent, for a property to which all these schemas apply.

    `empty` is whether one of them, or one that they refer to, has the keyword `x-empty`.
    """
    null = () if _take(schemas, None, resolve) else (None,)
    return (*null, "") if empty else null


def is_empty_text_absent(schemas: Iterable[Any], resolve: Resolve) -> bool:
    """Whether empty text of a query or form means absent, for such a property."""
    return not _take(schemas, "", resolve)


def empty_is_absent(schema: dict[str, Any]) -> bool:
    """Whether a schema has the keyword `"x-empty": "absent"`."""
    return bool(schema.get(EMPTY) == "absent")


def _take(schemas: Iterable[Any], value: str | None, resolve: Resolve) -> bool:
    return all(_accepts(schema, value, resolve, frozenset()) for schema in schemas)


def _accepts(schema: Any, value: str | None, resolve: Resolve, seen: frozenset[int]) -> bool:  # noqa: ANN401
    """Whether a schema accepts null or empty text; `seen` ends a schema that refers to itself."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return schema is not False
    seen |= {id(schema)}

    def takes(inner: Any) -> bool:  # noqa: ANN401
        return _accepts(inner, value, resolve, seen)

    return (
        _accepts_by_own_keywords(schema, value)
        and all(map(takes, schema.get("allOf", ())))
        and ("anyOf" not in schema or any(map(takes, schema["anyOf"])))
        and ("oneOf" not in schema or sum(map(takes, schema["oneOf"])) == 1)
        and ("$ref" not in schema or takes(resolve(schema["$ref"])))
        and ("not" not in schema or not takes(schema["not"]))
        and ("if" not in schema or takes(schema.get("then" if takes(schema["if"]) else "else")))
    )


def _accepts_by_own_keywords(schema: dict[str, Any], value: str | None) -> bool:
    """Whether the keywords that do not hold other schemas accept null or empty text."""
    types = schema.get("type", ("null", "string"))
    if ("null" if value is None else "string") not in (
        [types] if isinstance(types, str) else types
    ):
        return False
    if value not in schema.get("enum", (value,)) or value != schema.get("const", value):
        return False
    return value is None or not (
        schema.get("minLength", 0) > 0
        or empty_is_absent(schema)
        or schema.get("format") in _NEVER_EMPTY
        or not _matches_empty(schema.get("pattern", ""))
    )


@lru_cache(maxsize=256)
def _matches_empty(pattern: str) -> bool:
    try:
        return re.search(pattern, "") is not None
    except re.error:
        # Rust's engine takes some patterns that Python's does not; validation then decides.
        return True
