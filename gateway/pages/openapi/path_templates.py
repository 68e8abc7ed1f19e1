"""The paths of a document: OpenAPI writes `/orders/{id:int}` as `/orders/{id}`."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from gateway.registry.records import Route

_PARAM = re.compile(r"\{([^}:]*)[^}]*\}")


class Template(NamedTuple):
    """A path of the document; `names` has the params' names in it by their names in the route."""

    path: str
    names: Mapping[str, str]


class PathTemplates:
    """Gives each route a path that no other route of its method has.

    In OpenAPI two paths that differ only in the names of their params are the same path. Routes of
    several methods share one; `/orders/{id:int}` and `/orders/{id:uuid}`, which the gateway tells
    apart, cannot: the second is written `/orders/{id_2}`, so that the document lacks neither.
    """

    def __init__(self) -> None:
        self._by_shape: dict[str, list[tuple[Template, set[str]]]] = {}

    def place(self, route: Route) -> Template:
        """The path of a route."""
        shape = _PARAM.sub("{}", route.path)
        placed = self._by_shape.setdefault(shape, [])
        for template, methods in placed:
            if route.method not in methods:
                methods.add(route.method)
                names = dict(zip(route.path_params, template.names.values(), strict=True))
                return Template(template.path, names)
        suffix = f"_{len(placed) + 1}" if placed else ""
        names = {name: f"{name}{suffix}" for name in route.path_params}
        template = Template(_PARAM.sub(lambda found: f"{{{names[found[1]]}}}", route.path), names)
        placed.append((template, {route.method}))
        return template
