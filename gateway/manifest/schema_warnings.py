"""Warnings about the params of a manifest's routes."""

from collections.abc import Iterable, Iterator

import orjson

from gateway.manifest.check import Desired
from gateway.manifest.rules import schema_lint


def schema_warnings(desired: Iterable[Desired]) -> Iterator[str]:
    """The keywords without an effect, once for all routes with equal params.

    In a dump, mistakes for which params would be refused are warnings too, since an earlier version
    of the gateway stored the schema.
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
