"""Check of a manifest: every error has its file, line, path and what is allowed."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import ROOT

from gateway.manifest.check import Desired, check, schema_folder, watched_folders
from gateway.manifest.source.read import Diagnostic, ManifestError
from gateway.manifest.warnings import warnings

START = """\
version: 1
namespace: test
services:
  things: {kind: python, deployed: true, title: Things}
  parts: {kind: python, deployed: false, title: Parts}
routes:
"""
USUAL = "method: POST, deployed: true, title: T, auth: [application], params: {}"
FROM_A_FILE = "method: POST, deployed: true, title: T, auth: [application]"


def write(folder: Path, text: str, name: str = "routes.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def desired_of(folder: Path, routes: str) -> Desired:
    """The desired state of a manifest with these routes."""
    [desired] = check(write(folder, START + routes))
    return desired


def schema(folder: Path, params: str, route: str = "things.create") -> dict[str, Any]:
    """The stored schema of a route with these params."""
    routes = f"  {route}: {{{FROM_A_FILE}, params: {params}}}\n"
    document: dict[str, Any] = orjson.loads(desired_of(folder, routes).routes[route].params)
    return document


def diagnostics_of(folder: Path, text: str) -> list[Diagnostic]:
    with pytest.raises(ManifestError) as refused:
        check(write(folder, text))
    return refused.value.diagnostics


def marked_line(text: str, mark: str = "# <--") -> int:
    """The number of the marked line, where the error is expected."""
    [line] = [number for number, line in enumerate(text.splitlines(), 1) if mark in line]
    return line


# Each row: the error, the routes (its line is marked), its path, parts of the message.
ERRORS: list[tuple[str, str, str, list[str]]] = [
    (
        "an unknown key",
        """\
  things.create:
    {method: POST, deployed: true, auth: [session],
     tittle: T,  # <--
     title: T, params: {}}
""",
        "things.create: tittle",
        [
            "unknown key tittle (did you mean title?); ",
            "allowed: method, path, handler, deployed, title, ",
            "timeout, max_body",
        ],
    ),
    (
        "a title that is a number",
        "  things.create: {method: GET, deployed: true, title: 5, auth: [session]}  # <--\n",
        "things.create: title",
        ["must be text, not 5; put it in quotes"],
    ),
    (
        "an unknown method",
        """\
  things.create:
    method: FETCH  # <--
    deployed: true
    title: T
    auth: [application]
    params: {}
""",
        "things.create: method",
        ["must be GET, POST, PUT, PATCH or DELETE, not 'FETCH'"],
    ),
    (
        "a method in lower case",
        "  things.create: {deployed: true, title: T, auth: [session], method: post}  # <--\n",
        "things.create: method",
        ["must be GET, POST, PUT, PATCH or DELETE, not 'post'"],
    ),
    (
        "no auth",
        "  things.create: {method: POST, deployed: true, title: T, params: {}}  # <--\n",
        "things.create",
        ["the key auth is missing; write public, or a list of application and session"],
    ),
    (
        "an auth that is a word",
        """\
  things.create:
    {method: POST, deployed: true, title: T, params: {},
     auth: private}  # <--
""",
        "things.create: auth",
        ["'private'", "public", "application", "session"],
    ),
    (
        "an empty auth",
        "  things.create: {method: POST, deployed: true, title: T, params: {}, auth: []}  # <--\n",
        "things.create: auth",
        ["must not be empty"],
    ),
    (
        "an auth of an unknown kind",
        """\
  things.create:
    method: POST
    deployed: true
    title: T
    params: {}
    auth:
      - session
      - cookie  # <--
""",
        "things.create: auth: 1",
        ["must be application or session, not 'cookie'"],
    ),
    (
        "a deployed of YAML 1.1",
        "  things.create: {method: POST, title: T, auth: [session], deployed: off}  # <--\n",
        "things.create: deployed",
        ["must be true or false, not 'off'"],
    ),
    (
        "an unknown role",
        f"  things.create: {{{USUAL}, roles: {{planoorder: [boss]}}}}  # <--\n",
        "things.create: roles: planoorder: 0",
        ["must be client, employee or liaison, not 'boss'"],
    ),
    (
        "an unknown envelope",
        f"  things.create: {{{USUAL}, envelope: soap}}  # <--\n",
        "things.create: envelope",
        ["must be plano or shoplo, not 'soap'"],
    ),
    (
        "a timeout without its unit",
        f"  things.create: {{{USUAL}, timeout: 10}}  # <--\n",
        "things.create: timeout",
        ["must be a whole number of ms or s, such as 250ms or 10s, not 10"],
    ),
    (
        "a timeout in minutes",
        f"  things.create: {{{USUAL}, timeout: 10m}}  # <--\n",
        "things.create: timeout",
        ["'10m'", "250ms or 10s"],
    ),
    (
        "a size in an unknown unit",
        f"  things.create: {{{USUAL}, max_body: 1GB}}  # <--\n",
        "things.create: max_body",
        ["'1GB'", "B, KiB or MiB"],
    ),
    (
        "a name in upper case",
        f"  Things.create: {{{USUAL}}}  # <--\n",
        "Things.create",
        ["'Things.create'", "<service>.<action> in lower-case letters"],
    ),
    (
        "a name without an action",
        f"  things: {{{USUAL}}}  # <--\n",
        "things",
        ["'things'", "<service>.<action> in lower-case letters"],
    ),
    (
        "a success code of an own status",
        f"  things.create: {{{USUAL}, statuses: {{made: {{http: 201, meaning: M}}}}}}  # <--\n",
        "things.create: statuses: made: http",
        ["must be at least 400, not 201"],
    ),
    (
        "an unknown service",
        f"  nothings.create: {{{USUAL}}}  # <--\n",
        "nothings.create: handler",
        ["unknown service nothings", "known services: things, parts"],
    ),
    (
        "a handler of an unknown service",
        f"""\
  things.create:
    {{{USUAL},
     handler: nothings.create}}  # <--
""",
        "things.create: handler",
        ["unknown service nothings", "known services: things, parts"],
    ),
    (
        "a path without its slash",
        f"  things.create: {{{USUAL}, path: api/things}}  # <--\n",
        "things.create: path",
        ["api/things", "must start with /"],
    ),
    (
        "an empty segment",
        f"  things.create: {{{USUAL}, path: /api//things}}  # <--\n",
        "things.create: path",
        ["/api//things", "empty segments"],
    ),
    (
        "a segment of an unknown kind",
        f'  things.create: {{{USUAL}, path: "/things/{{id:float}}"}}  # <--\n',
        "things.create: path",
        ["{id:float}", "allowed: int, uuid"],
    ),
    (
        "a brace that is not closed",
        f'  things.create: {{{USUAL}, path: "/things/{{id"}}  # <--\n',
        "things.create: path",
        ["'{id'", "{name}, {name:int}, {name:uuid} or a literal"],
    ),
    (
        "two segments of one name",
        f'  things.create: {{{USUAL}, path: "/{{id}}/{{id:int}}"}}  # <--\n',
        "things.create: path",
        ["two params have the same name"],
    ),
    (
        "33 segments",
        f"  things.create: {{{USUAL}, path: {'/s' * 33}}}  # <--\n",
        "things.create: path",
        ["at most 32 segments"],
    ),
    *(
        (
            f"the reserved path {path}",
            f"""\
  things.create:
    {{{USUAL},
     path: {path}}}  # <--
""",
            "things.create: path",
            [path, "is reserved", "/-, /documentation, /openapi, /openapi.json"],
        )
        for path in ("/-/live", "/-", "/documentation/things", "/openapi.json", "/openapi/x.json")
    ),
    *(
        (
            f"the path {path}, whose page of the documentation is another one",
            f"""\
  things.create:
    {{{USUAL},
     path: {path}}}  # <--
""",
            "things.create: path",
            [f"/documentation{path} is a page"],
        )
        for path in ("/statuses", "/manifest", "/reference")
    ),
    (
        "two routes with one path shape",
        f"""\
  things.read: {{{USUAL}, path: "/things/{{id:int}}",
    params: {{properties: {{id: {{}}}}}}}}
  things.show:
    method: POST
    path: /things/{{number:int}}  # <--
    deployed: true
    title: T
    auth: [session]
    params: {{properties: {{number: {{}}}}}}
""".replace("params: {}, ", ""),
        "things.show: path",
        ["POST /things/{number:int}", "matches the same requests as the route things.read"],
    ),
    (
        "a common status as an own status",
        f"""\
  things.create:
    {{{USUAL},
     statuses: {{
       invalid-param: {{http: 422, meaning: M}}}}}}  # <--
""",
        "things.create: statuses: invalid-param",
        ["is a common status, which every route has already"],
    ),
    (
        "two HTTP codes for one slug",
        f"""\
  things.create: {{{USUAL}, statuses: {{too-late: {{http: 400, meaning: M}}}}}}
  things.update:
    {{{USUAL},
     statuses: {{too-late: {{http: 409, meaning: M}}}}}}  # <--
""",
        "things.update: statuses: too-late",
        ["HTTP code 409 differs from 400", "the same code in every route"],
    ),
    (
        "a public route with roles",
        """\
  things.create:
    method: POST
    deployed: true
    title: T
    auth: public
    roles: {planoorder: [client]}  # <--
    params: {}
""",
        "things.create: roles",
        ["a public route cannot have roles"],
    ),
    (
        "a GET with sensitive params",
        f"  things.read: {{{USUAL.replace('POST', 'GET')}, sensitive_params: true}}  # <--\n",
        "things.read: sensitive_params",
        ["must be false for GET, whose params are in the URL; use POST"],
    ),
    (
        "a service with a typing error",
        f"  thigns.create: {{{USUAL}}}  # <--\n",
        "thigns.create: handler",
        ["unknown service thigns (did you mean things?); known services: things, parts"],
    ),
    (
        "a timeout with a trailing newline",
        f'  things.create: {{{USUAL}, timeout: "10s\\n"}}  # <--\n',
        "things.create: timeout",
        ["'10s\\n'", "250ms or 10s"],
    ),
    (
        "a timeout that is too large",
        f"  things.create: {{{USUAL}, timeout: {'9' * 5000}s}}  # <--\n",
        "things.create: timeout",
        ["is too large; must be below 2^53 seconds"],
    ),
    (
        "a body size that is too large",
        f"  things.create: {{{USUAL}, max_body: {'9' * 20}MiB}}  # <--\n",
        "things.create: max_body",
        ["is too large; must be below 2^53 bytes"],
    ),
    (
        "a NUL in a text",
        f'  things.create: {{{USUAL}, description: "a\\0b"}}  # <--\n',
        "things.create: description",
        ["contains a NUL"],
    ),
    (
        "a NUL in the name of a file",
        f'  things.create: {{{FROM_A_FILE}, params: "a\\0b"}}  # <--\n',
        "things.create: params",
        ["its name contains a NUL character"],
    ),
    (
        "a day that no calendar has",
        f"  things.create: {{{USUAL}, deprecated: 2026-02-30}}  # <--\n",
        "things.create: deprecated",
        ["2026-02-30 is not a day of the calendar"],
    ),
    (
        "a sunset without a deprecation",
        f"  things.create: {{{USUAL}, sunset: 2027-01-31}}  # <--\n",
        "things.create: sunset",
        ["needs `deprecated`, with the same day or an earlier one"],
    ),
    (
        "a sunset before the deprecation",
        f"  things.create: {{{USUAL}, deprecated: 2027-02-01, sunset: 2027-01-31}}  # <--\n",
        "things.create: sunset",
        ["needs `deprecated`, with the same day or an earlier one"],
    ),
    (
        "an example of params that do not fit",
        f"""\
  things.create:
    {{{USUAL.replace("params: {}", "params: {properties: {n: {type: integer}}}")},
     examples: {{params: {{n: one}}}}}}  # <--
""",
        "things.create: examples: params",
        ["the example does not fit `params`: at /n: "],
    ),
    (
        "an example of an answer that does not fit",
        f"""\
  things.create:
    {{{USUAL}, returns: {{type: object}},
     examples: {{returns: 5}}}}  # <--
""",
        "things.create: examples: returns",
        ["the example does not fit `returns`: at /: "],
    ),
    (
        "an example in a schema that does not fit it",
        f"""\
  things.create:
    {{{USUAL},
     returns: {{properties: {{n: {{type: integer, examples: [one]}}}}}}}}  # <--
""",
        "things.create: returns",
        ['the example "one" does not fit its own schema'],
    ),
    (
        "a schema of the answer with a typing error",
        f"  things.create: {{{USUAL}, returns: {{propertiesx: {{}}}}}}  # <--\n",
        "things.create: returns",
        ["at /: unknown keyword propertiesx (did you mean properties?)"],
    ),
]


@pytest.mark.parametrize(
    ("routes", "path", "parts"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
def test_check_error_has_line_path_and_allowed_values(
    tmp_path: Path, routes: str, path: str, parts: list[str]
) -> None:
    [diagnostic] = diagnostics_of(tmp_path, START + routes)
    assert (diagnostic.file, diagnostic.line) == (
        f"{tmp_path}/routes.yaml",
        marked_line(START + routes),
    )
    assert diagnostic.path == f"routes: {path}"
    assert [part for part in parts if part not in diagnostic.message] == []


# Each row: the error, the file of the route's params, parts of the message.
SCHEMA_ERRORS: list[tuple[str, str | bytes | None, list[str]]] = [
    ("no file", None, ["cannot be read: No such file or directory"]),
    ("no JSON", '{"type": "object",\n "properties": }', ["is not valid JSON", "line 2, column 16"]),
    ("no UTF-8", b'{"title": "\xff"}', ["is not valid UTF-8: the byte 0xff in line 1"]),
    ("no object", "[]", ["must be a JSON object"]),
    (
        "an unknown type",
        '{"type": "objekt"}',
        [
            (
                "is not a valid JSON Schema: at /type: type must be one of array, boolean, "
                "integer, null, number, object, string, or a list of them, each once, not 'objekt' "
                "(did you mean object?)"
            )
        ],
    ),
    ("properties of a number", '{"properties": 5}', ["is not a valid JSON Schema", "/properties"]),
    ("properties of a list", '{"properties": [1]}', ["is not a valid JSON Schema", "/properties"]),
    (
        "a trailing comma",
        '{"type": "object",\n "required": ["token",]}',
        ["is not valid JSON: a comma before a closing bracket is not allowed; remove it (line 2"],
    ),
    ("a text without end", '{"a": "b}', ["the quote that opens here is never closed"]),
    ("NaN", '{"a": NaN}', ["expected a JSON value"]),
    ("a key twice", '{"type": "object", "type": "object"}', ["has the key type twice"]),
    ("too many brackets", "[" * 100_000, ["is nested too deeply"]),
    (
        "required without a property",
        '{"required": ["stagee"], "properties": {"stage": {}}}',
        ["at /: required names stagee, which `properties` does not have (did you mean stage?)"],
    ),
    (
        "required without a property in a branch",
        '{"properties": {"n": {"anyOf": [{"required": ["m"]}], "properties": {"k": {}}}}}',
        ["at /properties/n/anyOf/0: required names m"],
    ),
    (
        "an unknown keyword",
        '{"properties": {"n": {"minLenght": 1}}}',
        ["at /properties/n: unknown keyword minLenght (did you mean minLength?)"],
    ),
    (
        "a keyword of OpenAPI",
        '{"properties": {"n": {"nullable": true}}}',
        ["at /properties/n: unknown keyword nullable; write `type` as a list with null"],
    ),
    (
        "a param beside properties",
        '{"stage_zzz": {"type": "string"}}',
        ["at /: unknown keyword stage_zzz; params belong under `properties`"],
    ),
    *(
        (
            f"the x-order {order}",
            orjson.dumps({"properties": {"n": {"x-order": order}}}),
            ["at /properties/n: x-order must be a whole number, 1 or more"],
        )
        for order in ("4", 0, -1, 1.5, True, None)
    ),
    (
        "a token that is a number",
        '{"properties": {"token": {"type": "integer"}}}',
        ["at /properties/token: the token must be of the type string"],
    ),
    ("required of a number", '{"required": 5}', ["is not a valid JSON Schema", "/required"]),
    ("required of a word", '{"required": "stage"}', ["is not a valid JSON Schema", "/required"]),
    ("required of numbers", '{"required": [5]}', ["is not a valid JSON Schema", "/required/0"]),
    (
        "a bound that is a word",
        '{"properties": {"n": {"minimum": "one"}}}',
        ["is not a valid JSON Schema", "/properties/n/minimum", "'one'"],
    ),
    (
        "a schema that is a number",
        '{"properties": {"n": 5}}',
        ["is not a valid JSON Schema", "/properties/n"],
    ),
    (
        "an invalid pattern",
        '{"properties": {"n": {"pattern": "("}}}',
        ["is not a valid JSON Schema", "/properties/n/pattern"],
    ),
    *(
        (
            f"the look-around {pattern}",
            orjson.dumps({"properties": {"n": {"type": "string", "pattern": pattern}}}),
            ["cannot be compiled", "regex"],
        )
        for pattern in ("(?=x)", "(?!x)", "(?<=x)", r"(x)\1")
    ),
    *(
        (
            f"the $ref {ref}",
            orjson.dumps({"properties": {"n": {"$ref": ref}}}),
            ["cannot be compiled", ref.removeprefix("#")],
        )
        for ref in (
            "http://127.0.0.1:9/schema.json",
            "file:///etc/hostname",
            "index.json",
            "#/$defs/nothing",
        )
    ),
    ("params that are text", '{"type": "string"}', ["write `type: object`"]),
    ("an x-omit that is not a list", '{"x-omit": true}', ["x-omit"]),
    ("an x-omit of lists", '{"x-omit": [["token"]]}', ["x-omit"]),
    ("no token where one is needed", '{"x-omit": ["token"]}', ["only a public route"]),
    *(
        (
            f"an untyped object in {where}",
            orjson.dumps({"properties": {"n": inner}}),
            ["an object without `properties`", "additionalProperties: true"],
        )
        for where, inner in {
            "a property": {"type": "object"},
            "items": {"type": "array", "items": {"type": "object"}},
            "a branch": {"anyOf": [{"type": "string"}, {"type": "object"}]},
            "deeper properties": {"type": "object", "properties": {"m": {"type": "object"}}},
            "a property that may be null": {"type": ["object", "null"]},
        }.items()
    ),
]


@pytest.mark.parametrize(
    ("text", "parts"), [row[1:] for row in SCHEMA_ERRORS], ids=[row[0] for row in SCHEMA_ERRORS]
)
def test_check_error_in_a_schema_file_names_route_and_file(
    tmp_path: Path, text: str | bytes | None, parts: list[str]
) -> None:
    if text is not None:
        file = write(tmp_path, "", "schemas/things/create.json")
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    routes = f"  parts.create: {{{USUAL}}}\n  things.create: {{{FROM_A_FILE}}}  # <--\n"
    [diagnostic] = diagnostics_of(tmp_path, START + routes)
    assert (diagnostic.line, diagnostic.path) == (
        marked_line(START + routes),
        "routes: things.create: params",
    )
    assert diagnostic.message.startswith(f"{tmp_path}/schemas/things/create.json: ")
    assert [part for part in parts if part not in diagnostic.message] == []


@pytest.mark.parametrize(
    "document",
    [
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
        {"allOf": [{"properties": {"a": {}}}, {"required": ["a"]}]},
        {"$ref": "#/$defs/a", "required": ["a"], "$defs": {"a": {"properties": {"a": {}}}}},
        {"required": ["a"], "additionalProperties": True},
        {"required": ["application"]},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "properties": {"a": {}, "b": {}}},
        {"properties": {"a": {"x-order": 1}, "b": {"x-order": 1}}, "x-note": 1},
        {"properties": {"nullable": {"type": "string", "format": "datum", "default": "x"}}},
    ],
)
def test_check_params_without_a_mistake_are_accepted(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    schema(tmp_path, orjson.dumps(document).decode())


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/hostname", "schemas/link.json", "l/s.json"]
)
def test_check_refuses_a_params_file_outside_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    (inside / "schemas").mkdir(parents=True)
    write(tmp_path, "{}", "secret.json")
    write(tmp_path, "{}", "outside/s.json")
    (inside / "schemas/link.json").symlink_to(tmp_path / "secret.json")
    (inside / "l").symlink_to(tmp_path / "outside")
    routes = f"  things.create: {{{FROM_A_FILE}, params: {name}}}\n"
    [diagnostic] = diagnostics_of(inside, START + routes)
    assert "is outside the folder of the manifest; name a file in that folder" in diagnostic.message


def test_check_reads_a_params_file_through_a_link_inside_the_folder(tmp_path: Path) -> None:
    write(tmp_path, '{"title": "Linked"}', "schemas/real.json")
    (tmp_path / "schemas/link.json").symlink_to("real.json")
    assert schema(tmp_path, "schemas/link.json")["title"] == "Linked"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_check_refuses_params_that_are_not_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "schemas/things/create.json"
    path.parent.mkdir(parents=True)
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    [diagnostic] = diagnostics_of(tmp_path, START + f"  things.create: {{{FROM_A_FILE}}}\n")
    assert f"cannot be read: it is a {kind}, not a file" in diagnostic.message


def test_check_refuses_a_params_file_that_is_too_large(tmp_path: Path) -> None:
    write(tmp_path, " " * (1024 * 1024 + 1), "schemas/things/create.json")
    [diagnostic] = diagnostics_of(tmp_path, START + f"  things.create: {{{FROM_A_FILE}}}\n")
    assert diagnostic.message.endswith("is too large: at most 1 MiB are read")


@pytest.mark.parametrize(
    ("params", "parts"),
    [
        ("{properties: {n: {type: integr}}}", ["is not a valid JSON Schema", "/properties/n/type"]),
        ("{properties: {1: {type: integer}}}", ["1"]),
    ],
)
def test_check_error_in_inline_params_has_their_line(
    tmp_path: Path, params: str, parts: list[str]
) -> None:
    routes = f"  things.create:\n    {{{FROM_A_FILE},\n     params: {params}}}  # <--\n"
    [diagnostic] = diagnostics_of(tmp_path, START + routes)
    assert diagnostic.line == marked_line(START + routes)
    assert diagnostic.path.startswith("routes: things.create: params")
    assert [part for part in parts if part not in str(diagnostic)] == []


def test_check_refuses_a_path_param_that_the_schema_would_drop(tmp_path: Path) -> None:
    routes = f"""  things.read: {{{FROM_A_FILE}, path: "/things/{{id:int}}/{{part}}",
    params: {{properties: {{part: {{type: string}}}}}}}}
"""
    [diagnostic] = diagnostics_of(tmp_path, START + routes)
    assert diagnostic.path == "routes: things.read: params"
    assert diagnostic.message == "the path's {id} would be dropped; add it to `properties`"


@pytest.mark.parametrize(
    "text", ['{"properties": 5}', '{"properties": {"token": 5}}', '{"required": 5}', "[]", "{"]
)
def test_check_invalid_common_params_name_their_file(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, "schemas/common.json")
    [diagnostic] = diagnostics_of(tmp_path, f"{START}  things.create: {{{USUAL}}}\n")
    assert f"{tmp_path}/schemas/common.json" in str(diagnostic)


def test_check_reports_all_errors_at_once(tmp_path: Path) -> None:
    routes = f"""\
  nothings.create:
    {{{USUAL},
     path: nothings,
     statuses: {{invalid-token: {{http: 401, meaning: M}}}}}}
  things.create: {{{FROM_A_FILE}}}
  things.read: {{{FROM_A_FILE}, params: {{x-omit: [token], type: string}}}}
  things.show: {{{FROM_A_FILE}, path: /-/show, params: {{properties: {{n: {{type: object}}}}}}}}
"""
    assert [diagnostic.path for diagnostic in diagnostics_of(tmp_path, START + routes)] == [
        "routes: nothings.create: handler",
        "routes: nothings.create: path",
        "routes: nothings.create: statuses: invalid-token",
        "routes: things.create: params",
        "routes: things.read: params",
        "routes: things.read: params",
        "routes: things.show: path",
        "routes: things.show: params",
    ]


def test_check_path_error_does_not_hide_a_params_error(tmp_path: Path) -> None:
    routes = f"  things.create: {{{FROM_A_FILE}, path: things, params: {{type: objekt}}}}\n"
    paths = [diagnostic.path for diagnostic in diagnostics_of(tmp_path, START + routes)]
    assert paths == ["routes: things.create: path", "routes: things.create: params"]


def test_check_reports_all_schema_errors_at_once(tmp_path: Path) -> None:
    diagnostics = diagnostics_of(
        tmp_path,
        """\
version: 2
namespace: Test
services:
  things: {kind: ruby, deployed: true}
routes:
  things.create: {method: GET, deployed: 1, title: "", auth: [session]}
extra: 1
""",
    )
    assert sorted((diagnostic.line, diagnostic.path) for diagnostic in diagnostics) == [
        (1, "version"),
        (2, "namespace"),
        (4, "services: things"),
        (4, "services: things: kind"),
        (6, "routes: things.create: deployed"),
        (6, "routes: things.create: title"),
        (7, "extra"),
    ]


def test_check_schema_error_does_not_hide_the_error_of_another_route(tmp_path: Path) -> None:
    routes = f"""\
  things.create: {{{USUAL}, tittle: T}}
  nothings.create: {{{USUAL}}}
"""
    paths = [diagnostic.path for diagnostic in diagnostics_of(tmp_path, START + routes)]
    assert paths == ["routes: things.create: tittle", "routes: nothings.create: handler"]


def test_check_each_unknown_key_has_its_own_line(tmp_path: Path) -> None:
    text = """\
version: 1
namespace: test
x-usual: &usual {deployed: true}
service: {}
services: {}
routes:
  things.create:
    <<: *usual
    titel: T
    timout: 10s
    zzz: 1
    method: POST
    title: T
    auth: public
    params: {}
    statuses:
      <<: {http: 400, meaning: M}
"""
    messages = [str(d).partition("; allowed")[0] for d in diagnostics_of(tmp_path, text)]
    assert [message.removeprefix(f"{tmp_path}/routes.yaml:") for message in messages] == [
        (
            "3: x-usual: keys that begin with x- are not read here; "
            "use `defaults:`, or write the values out"
        ),
        "4: service: unknown key service (did you mean services?)",
        "7: routes: things.create: the key deployed is missing; write true or false",
        (
            "8: routes: things.create: <<: merge keys (<<) are not read; "
            "use `defaults:`, or write the keys out"
        ),
        "9: routes: things.create: titel: unknown key titel (did you mean title?)",
        "10: routes: things.create: timout: unknown key timout (did you mean timeout?)",
        "11: routes: things.create: zzz: unknown key zzz",
        (
            "17: routes: things.create: statuses: <<: merge keys (<<) are not read; "
            "use `defaults:`, or write the keys out"
        ),
    ]


def test_check_service_error_is_reported_once_with_routes_in_another_file(tmp_path: Path) -> None:
    write(tmp_path, START.replace("deployed: true", "deployed: 1") + "  {}\n", "routes/a.yaml")
    head = START.partition("  things:")[0].replace("services:", "services: {}\nroutes:")
    write(tmp_path, f"{head}  things.create: {{{USUAL}}}\n", "routes/b.yaml")
    with pytest.raises(ManifestError) as refused:
        check(tmp_path / "routes")
    assert [d.path for d in refused.value.diagnostics] == ["services: things: deployed"]


def test_check_status_code_is_stored_as_an_integer(tmp_path: Path) -> None:
    routes = f"  things.create: {{{USUAL}, statuses: {{late: {{http: 409.0, meaning: M}}}}}}\n"
    record = desired_of(tmp_path, routes).routes["things.create"].record
    assert orjson.dumps(record["statuses"]) == b'{"late":{"http":409,"meaning":"M"}}'


def test_check_reports_the_errors_of_all_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        route = f"  nothings.{name}: {{{USUAL}}}\n"
        write(tmp_path, START.replace("things:", f"{name}:") + route, f"routes/{name}.yaml")
    with pytest.raises(ManifestError) as refused:
        check(tmp_path / "routes")
    assert [
        (Path(diagnostic.file).name, diagnostic.line) for diagnostic in refused.value.diagnostics
    ] == [
        ("a.yaml", 7),
        ("b.yaml", 5),  # both define the service parts
        ("b.yaml", 7),
    ]


OTHER = """---
version: 1
namespace: other
services:
  others: {kind: python, deployed: true, title: Others}
routes:
"""


def test_check_each_namespace_has_its_own_records(tmp_path: Path) -> None:
    text = f"{START}  things.create: {{{USUAL}}}\n{OTHER}  others.create: {{{USUAL}}}\n"
    first, second = check(write(tmp_path, text))
    assert (first.namespace, [*first.services], [*first.routes]) == (
        "test",
        ["things", "parts"],
        ["things.create"],
    )
    assert (second.namespace, [*second.services], [*second.routes]) == (
        "other",
        ["others"],
        ["others.create"],
    )


def test_check_empty_namespace_is_desired_too(tmp_path: Path) -> None:
    nothing = "version: 1\nnamespace: test\nservices: {}\nroutes: {}\n"
    assert check(write(tmp_path, nothing)) == [Desired("test")]


def test_check_namespace_may_span_files(tmp_path: Path) -> None:
    write(tmp_path, f"{START}  things.create: {{{USUAL}}}\n", "routes/a.yaml")
    more = "version: 1\nnamespace: test\nservices: {}\nroutes:\n"
    write(tmp_path, f"{more}  parts.create: {{{USUAL}}}\n", "routes/b.yaml")
    [desired] = check(tmp_path / "routes")
    assert [*desired.routes] == ["things.create", "parts.create"]


@pytest.mark.parametrize(
    ("route", "path", "message"),
    [
        ("things.create", "routes: things.create", "is already defined in {}/routes.yaml:7"),
        (
            "others.create",
            "routes: others.create: path",
            "matches the same requests as the route things.create",
        ),
        ("parts.create", "routes: parts.create: handler", "unknown service parts"),
    ],
)
def test_check_names_and_paths_are_global_and_services_per_namespace(
    tmp_path: Path, route: str, path: str, message: str
) -> None:
    text = f"{START}  things.create: {{{USUAL}, path: /make}}\n{OTHER}  {route}: {{{USUAL}}}\n"
    if route == "others.create":
        text = text.replace(f"{route}: {{", f"{route}: {{path: /make, ")
    messages = {error.path: error.message for error in diagnostics_of(tmp_path, text)}
    assert message.format(tmp_path) in messages[path]


def test_check_route_record_has_every_default(tmp_path: Path) -> None:
    route = desired_of(tmp_path, f"  things.create: {{{USUAL}}}\n").routes["things.create"]
    assert route.record == {
        "handler": "things.create",
        "method": "POST",
        "path": "/api/v1/things/create",
        "deployed": True,
        "title": "T",
        "description": "",
        "auth": ["application"],
        "roles": None,
        "client_required": True,
        "sensitive_params": False,
        "envelope": "plano",
        "statuses": {},
        "timeout": 10.0,
        "idempotency": "off",
        "rate_limit": None,
        "max_body": 1048576,
        "max_values": 20000,
    }


def test_check_route_values_override_the_defaults(tmp_path: Path) -> None:
    desired = desired_of(
        tmp_path,
        """\
  things.change:
    method: PUT
    path: /services/things/{id:int}
    handler: parts.update
    deployed: false
    title: Change a thing
    description: In part.
    auth: [session, application]
    roles: {planoorder: [employee], planox2: []}
    client_required: false
    sensitive_params: true
    envelope: shoplo
    statuses: {too-late: {http: 409, meaning: Too late.}}
    rate_limit: 50/minute
    timeout: 250ms
    max_body: 2KiB
    max_values: 30
    params: {properties: {id: {type: integer}}}
""",
    )
    assert desired.routes["things.change"].record == {
        "handler": "parts.update",
        "method": "PUT",
        "path": "/services/things/{id:int}",
        "deployed": False,
        "title": "Change a thing",
        "description": "In part.",
        "auth": ["application", "session"],
        "roles": {"planoorder": ["employee"], "planox2": []},
        "client_required": False,
        "sensitive_params": True,
        "envelope": "shoplo",
        "statuses": {"too-late": {"http": 409, "meaning": "Too late."}},
        "timeout": 0.25,
        "idempotency": "off",
        "rate_limit": [50, 60],
        "max_body": 2048,
        "max_values": 30,
    }


@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [
        ("auth: public", "auth", []),
        ("timeout: 1ms", "timeout", 0.001),
        ("timeout: 90s", "timeout", 90.0),
        ("rate_limit: 1/second", "rate_limit", [1, 1]),
        ("rate_limit: 50/minute", "rate_limit", [50, 60]),
        ("rate_limit: 1000/hour", "rate_limit", [1000, 3600]),
        ("max_body: 7B", "max_body", 7),
        ("max_body: 512KiB", "max_body", 524288),
        ("max_body: 10MiB", "max_body", 10485760),
    ],
)
def test_check_values_with_units_are_stored_in_base_units(
    tmp_path: Path, entry: str, name: str, value: Any
) -> None:
    auth = "" if entry.startswith("auth") else "auth: [session], "
    routes = (
        f"  things.do: {{method: POST, deployed: true, title: T, {auth}{entry}, params: {{}}}}\n"
    )
    record = desired_of(tmp_path, routes).routes["things.do"].record
    assert (record[name], type(record[name])) == (value, type(value))


def test_check_route_has_the_common_params(tmp_path: Path) -> None:
    document = schema(tmp_path, "{required: [n], properties: {n: {type: integer}}}")
    assert document["type"] == "object"
    assert document["required"] == ["n", "token"]
    assert document["properties"].keys() == {
        *("n", "token", "application", "application_view", "session_view")
    }
    assert document["properties"]["n"] == {"type": "integer"}
    assert document["properties"]["token"]["x-common"] is True
    assert document["properties"]["token"]["x-order"] == 100


def test_check_public_route_has_no_token_param(tmp_path: Path) -> None:
    routes = "  things.do: {method: POST, deployed: true, title: T, auth: public, params: {}}\n"
    document = orjson.loads(desired_of(tmp_path, routes).routes["things.do"].params)
    assert document["required"] == []
    assert "token" not in document["properties"]
    assert "application" in document["properties"]


def test_check_route_may_omit_common_params(tmp_path: Path) -> None:
    document = schema(tmp_path, "{x-omit: [application, session_view]}")
    assert document["properties"].keys() == {"token", "application_view"}
    assert "x-omit" not in document


def test_check_route_may_change_a_common_param(tmp_path: Path) -> None:
    document = schema(tmp_path, "{properties: {application: {type: integer, x-common: false}}}")
    application = document["properties"]["application"]
    assert (application["type"], application["x-common"]) == ("integer", False)
    assert application["x-order"] == 200


def test_check_manifest_may_define_its_own_common_params(tmp_path: Path) -> None:
    own = {"required": ["key"], "properties": {"key": {"type": "string"}}}
    write(tmp_path, orjson.dumps(own).decode(), "schemas/common.json")
    document = schema(tmp_path, "{required: [n, key], properties: {n: {}}}")
    assert document["properties"]["key"] == {"type": "string", "x-common": True}
    assert document["required"] == ["n", "key"]


def test_check_params_may_name_a_file(tmp_path: Path) -> None:
    write(tmp_path, '{"properties": {"n": {"type": "integer"}}}', "schemas/shared/n.json")
    assert schema(tmp_path, "schemas/shared/n.json")["properties"]["n"] == {"type": "integer"}


def test_check_params_default_to_the_file_of_the_handler(tmp_path: Path) -> None:
    write(tmp_path, '{"properties": {"n": {}}}', "schemas/parts/create.json")
    routes = f"  things.create: {{{FROM_A_FILE}, handler: parts.create}}\n"
    assert '"n":{}' in desired_of(tmp_path, routes).routes["things.create"].params


def test_check_missing_params_file_is_named(tmp_path: Path) -> None:
    routes = f"  things.create: {{{FROM_A_FILE}, params: schemas/no.json}}\n"
    [diagnostic] = diagnostics_of(tmp_path, START + routes)
    assert diagnostic.message.startswith(f"{tmp_path}/schemas/no.json: cannot be read")


def test_schema_folder_is_beside_a_file_and_in_or_beside_a_folder(tmp_path: Path) -> None:
    inside, beside = tmp_path / "inside", tmp_path / "beside"
    (inside / "schemas").mkdir(parents=True)
    beside.mkdir()
    assert schema_folder(tmp_path / "routes.yaml") == tmp_path / "schemas"
    assert schema_folder(inside) == inside / "schemas"
    assert schema_folder(beside) == tmp_path / "schemas"


def test_watched_folders_include_manifest_and_schemas(tmp_path: Path) -> None:
    file = write(tmp_path, START)
    inner = write(tmp_path, "{}", "schemas/things/create.json")
    folders = watched_folders(file)
    for path in file, inner:
        assert {path, *path.parents} & set(folders)


def test_watched_folders_exist(tmp_path: Path) -> None:
    assert all(folder.exists() for folder in watched_folders(write(tmp_path, START)))


def test_warnings_name_deployed_routes_without_code(tmp_path: Path) -> None:
    desired = desired_of(
        tmp_path,
        f"""\
  things.create: {{{USUAL}}}
  things.known: {{{USUAL}}}
  things.later: {{{USUAL.replace("true", "false")}}}
  parts.create: {{{USUAL}}}
""",
    )
    assert list(warnings(tmp_path, [desired], ["things.known", "things.creat", "x.create"])) == [
        (
            "things.create: no code is installed for the action things.create "
            "(did you mean creat?); calls will answer service-not-found"
        )
    ]


def test_warnings_name_reads_of_a_batched_action(tmp_path: Path) -> None:
    reads = "reads: {from: replica, stale: 5s}"
    desired = desired_of(tmp_path, f"  things.list: {{{USUAL}, {reads}}}\n")
    assert list(warnings(tmp_path, [desired], ["things.list"], batched={"things.list"})) == [
        "things.list: reads has no effect: the action things.list is batched, and uses the primary"
    ]
    assert list(warnings(tmp_path, [desired], ["things.list"])) == []


def test_warnings_name_what_params_say_in_vain(tmp_path: Path) -> None:
    schemas = (
        "{properties: {day: {type: string, format: dat}, n: {default: 1}}}",
        "{x-joined: true, type: object, required: [n], properties: {}}",
    )
    later = USUAL.replace("true", "false")
    routes = [
        f"  things.{name}: {{{later.replace('params: {}', f'params: {params}')}}}\n"
        for name, params in zip(("one", "two", "three"), (*schemas, schemas[1]), strict=True)
    ]
    desired = desired_of(tmp_path, "".join(routes))
    assert list(warnings(tmp_path, [desired], [])) == [
        (
            "things.one: params: at /properties/day: the format dat is unknown and not checked "
            "(did you mean date?)"
        ),
        (
            "things.one: params: at /properties/n: default is not applied: the service does not "
            "get it; say it in `description`"
        ),
        (
            "things.two and 1 other routes: params: at /: required names n, "
            "which `properties` does not have"
        ),
    ]


def _repository_manifest(folder: Path, settings: str) -> Path:
    """The repository's manifest with these settings of the service `users`."""
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    text, count = re.subn(r"reset_url: .*", settings, (ROOT / "routes.yaml").read_text())
    assert count == 1
    return write(folder, text)


def test_warnings_name_a_password_reset_without_a_page_for_its_link(tmp_path: Path) -> None:
    file = _repository_manifest(tmp_path, "mail_template: a-template")
    states = [*check(file)]
    actions = [name for state in states for name in state.routes]
    [warning] = warnings(file, states, actions)
    assert warning.startswith("users.reset_password: the settings of users have no reset_url; ")
    states = [*check(ROOT / "routes.yaml")]
    assert list(warnings(ROOT / "routes.yaml", states, actions)) == []


@pytest.mark.parametrize(
    "settings",
    [
        "reset_url: https://plano.example/reset",
        "reset_url: javascript:{token}",
        "reset_url: 'https://plano.example/{token}/{token}'",
        "reset_page: 'https://plano.example/{token}'",
    ],
)
def test_check_refuses_a_page_for_links_without_one_place_for_the_token(
    tmp_path: Path, settings: str
) -> None:
    with pytest.raises(ManifestError, match="services: users: settings"):
        check(_repository_manifest(tmp_path, settings))


def test_check_repository_manifest_is_valid_and_has_the_documented_paths() -> None:
    [desired] = check(ROOT / "routes.yaml")
    assert desired.namespace == "plano"
    served = {name: (r.record["method"], r.record["path"]) for name, r in desired.routes.items()}
    assert (
        served.items()
        >= {
            "order_stages.create": ("POST", "/api/v1/order_stages/create"),
            "order_stages.index": ("POST", "/api/v1/order_stages/index"),
            "appointments.create": ("POST", "/api/v1/appointments/create"),
        }.items()
    )
    create = desired.routes["order_stages.create"].record
    assert create["auth"] == ["application", "session"]
    slugs = ("planoauth", "planoorder", "planox2")
    assert create["roles"] == {slug: ["employee", "liaison"] for slug in slugs}
    assert tuple(desired.applications) == slugs
    assert desired.routes["order_stages.index"].record["deployed"] is False
    assert desired.services["appointments"]["deployed"] is False
