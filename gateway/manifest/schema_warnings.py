"""Warnings about the params of a manifest's routes."""

from collections.abc import Iterable, Iterator

import orjson

from gateway.manifest import schema_lint
from gateway.manifest.check import Desired


def schema_warnings(desired: Iterable[Desired]) -> Iterator[str]:
    """What params say and the gateway does not do, once for all routes with equal params.

    A mistake for which params are refused is a warning where a dump has it: the schema was stored
    by a version that took it.
    """
    routes: dict[str, list[str]] = {}
    for state in desired:
        for name, route in state.routes.items():
            routes.setdefault(route.params, []).append(name)
    for text, names in routes.items():
        others = f" and {len(names) - 1} other routes" if names[1:] else ""
        document = orjson.loads(text)
        for message in (*schema_lint.errors(document), *schema_lint.warnings(document)):
            yield f"{names[0]}{others}: params: {message}"
