"""Generates a manifest of many routes with different depths, literals and kinds of params.

Nine routes in ten use a schema file, which several routes share; the others have an inline schema.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

TEMPLATES = (
    "/services/{service}/{action}/{{id:int}}",
    "/api/v1/{service}/{action}",
    "/services/{service}/{{id:int}}/{action}",
    "/services/{service}/{{code:uuid}}/{action}",
    "/services/{service}/{{slug}}/{action}",
    "/{{slug}}/{service}/{action}",
    "/{{shop:int}}/{service}/{action}",
    "/{service}/{{code:uuid}}/{action}/{{slug}}",
    "/shops/{{shop:int}}/{service}/{{id:int}}/{action}/lines/{{line:int}}",
    "/v3/{service}/a/b/c/{{slug}}/d/{action}/e/{{id:int}}/f",
)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
ACTIONS = 500
"""Routes of each service."""

SCHEMAS = 1000
ONE_PARAM = {
    "{id:int}": "4711",
    "{shop:int}": "12",
    "{slug}": "a-b",
    "{code:uuid}": "6f0b2c9a-3c1e-4a3e-9d2f-0a1b2c3d4e5f",
}
PATH_PARAMS: dict[str, Any] = {
    "id": {"type": "integer", "minimum": 1, "x-order": 1},
    "shop": {"type": "integer", "minimum": 1, "x-order": 2},
    "line": {"type": "integer", "minimum": 1, "x-order": 3},
    "slug": {"type": "string", "maxLength": 63, "x-order": 4},
    "code": {"type": "string", "format": "uuid", "x-order": 5},
}

Action = Callable[[Any], Any]


def write(folder: Path, count: int, namespace: str = "many") -> Path:
    """Write a manifest of `count` routes with its schemas; return the manifest's file."""
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for number in range(SCHEMAS):
        if number % 10:
            (folder / "schemas" / f"{number}.json").write_bytes(orjson.dumps(large(number)))
    file = folder / "routes.yaml"
    file.write_text("".join(_lines(count, namespace)))
    return file


def _lines(count: int, namespace: str) -> Iterator[str]:
    yield f"version: 1\nnamespace: {namespace}\nservices:\n"
    for number in range(0, count, ACTIONS):
        name = f"service_{number // ACTIONS}"
        yield f"  {name}: {{kind: python, deployed: true, title: Service {number}}}\n"
    yield "routes:\n"
    for number in range(count):
        yield route(number)


def route(number: int, title: str = "") -> str:
    """The YAML of one route in the manifest."""
    schema = number * 7 % SCHEMAS
    inline = orjson.dumps(small(schema)).decode()
    return (
        f"  {name(number)}:\n"
        f"    method: {method(number)}\n"
        f'    path: "{path(number)}"\n'
        "    deployed: true\n"
        f"    title: {title or f'Route {number}'}\n"
        "    auth: public\n"
        f"    params: {f'schemas/{schema}.json' if schema % 10 else inline}\n"
    )


def name(number: int) -> str:
    """The name of a route, which is also its handler."""
    return f"service_{number // ACTIONS}.action_{number}"


def method(number: int) -> str:
    """The method of a route."""
    return METHODS[number // len(TEMPLATES) % len(METHODS)]


def path(number: int) -> str:
    """The path of a route, with its params in braces."""
    template = TEMPLATES[number % len(TEMPLATES)]
    return template.format(service=f"service_{number // ACTIONS}", action=f"action_{number}")


def requests(count: int) -> Iterator[bytes]:
    """A GET for each of the first `count` routes that has this method and one path param."""
    for number in range(count):
        params = [param for param in ONE_PARAM if param in path(number)]
        if method(number) == "GET" and path(number).count("{") == 1:
            target = path(number).replace(params[0], ONE_PARAM[params[0]])
            yield f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def large(number: int) -> dict[str, Any]:
    """A schema with nested objects, patterns, enums and limits; each number gives another one."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            **PATH_PARAMS,
            "notes": {"type": "string", "maxLength": 1000 + number, "description": "Free text."},
            "stage": {"type": "string", "enum": ["scheduled", "ready", "done", f"own_{number}"]},
            "phone": {"type": "string", "pattern": "^[0-9 +()-]{6,20}$"},
            "notify": {"type": "boolean"},
            "order": {
                "type": "object",
                "properties": {
                    "due_date": {"type": "string", "format": "date"},
                    "rush": {"type": "boolean"},
                    "prices": {"type": "array", "items": {"type": "number"}, "maxItems": 20},
                },
            },
        },
    }


def small(number: int) -> dict[str, Any]:
    """A schema that fits into a line; each number gives another one."""
    path_params = {name: {"type": schema["type"]} for name, schema in PATH_PARAMS.items()}
    return {"properties": {**path_params, "count": {"type": "integer", "maximum": number}}}
