"""The `defaults:` of a document: values for its routes that leave them out."""

from typing import Any

from gateway.manifest.rules import schema_check

NOT_FOR_PUBLIC_ROUTES = ("roles", "idempotency")
"""Keys that a public route cannot have; their defaults apply to the other routes only."""


def with_defaults(data: Any) -> Any:  # noqa: ANN401 - a document is any
    """A document with its defaults written into its routes.

    If the defaults are invalid, the routes are left out: each would only repeat the error.
    """
    if not isinstance(data, dict) or "defaults" not in data:
        return data
    defaults, routes = data["defaults"], data.get("routes")
    if not schema_check.is_valid("defaults", defaults):
        return {**data, "routes": {}}
    if not isinstance(routes, dict):
        return data
    return {
        **data,
        "routes": {name: _with_defaults(defaults, entry) for name, entry in routes.items()},
    }


def _with_defaults(defaults: dict[str, Any], entry: Any) -> Any:  # noqa: ANN401
    """A route with the defaults; an entry that is not a mapping is unchanged, and refused later."""
    if not isinstance(entry, dict):
        return entry
    joined = {**defaults, **entry}
    if joined.get("auth") != "public":
        return joined
    skipped = [name for name in NOT_FOR_PUBLIC_ROUTES if name not in entry]
    return {name: value for name, value in joined.items() if name not in skipped}
