"""Checking a manifest: every fault with its file, line, place and what would be allowed."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import ROOT

from gateway.manifest.check import Desired, check, schema_folder, warnings, watched_folders
from gateway.manifest.read import Diagnostic, ManifestError

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


def written(folder: Path, text: str, name: str = "routes.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def checked(folder: Path, routes: str) -> Desired:
    """What a manifest of one namespace, of which only the routes are given, desires."""
    [desired] = check(written(folder, START + routes))
    return desired


def schema(folder: Path, params: str, route: str = "things.create") -> dict[str, Any]:
    """The whole schema that is stored for a route with these params."""
    routes = f"  {route}: {{{FROM_A_FILE}, params: {params}}}\n"
    document: dict[str, Any] = orjson.loads(checked(folder, routes).routes[route].params)
    return document


def told(folder: Path, text: str) -> list[Diagnostic]:
    with pytest.raises(ManifestError) as refused:
        check(written(folder, text))
    return refused.value.diagnostics


def marked(text: str, mark: str = "# <--") -> int:
    """The line that a table's row expects the fault in."""
    [line] = [number for number, line in enumerate(text.splitlines(), 1) if mark in line]
    return line


# Each row: what is wrong, the routes (the fault's line is marked), its place, words of the message.
FAULTS: list[tuple[str, str, str, list[str]]] = [
    (
        "a key that is unknown",
        """\
  things.create:  # <--
    {method: POST, deployed: true, auth: [session], tittle: T, title: T, params: {}}
""",
        "things.create",
        [
            "unknown key 'tittle'",
            "allowed: method, path, handler, deployed, title, ",
            "timeout, max_body",
        ],
    ),
    (
        "two keys that are unknown",
        f"  things.create: {{{USUAL}, tittle: T, methods: POST}}  # <--\n",
        "things.create",
        ["unknown keys 'tittle', 'methods'; allowed: method, "],
    ),
    (
        "a title that is a number",
        "  things.create: {method: GET, deployed: true, title: 5, auth: [session]}  # <--\n",
        "things.create: title",
        ["5 is not allowed; allowed: text"],
    ),
    (
        "a method that is none",
        """\
  things.create:
    method: FETCH  # <--
    deployed: true
    title: T
    auth: [application]
    params: {}
""",
        "things.create: method",
        ["'FETCH'", "allowed: GET, POST, PUT, PATCH, DELETE"],
    ),
    (
        "a method in lower case",
        "  things.create: {deployed: true, title: T, auth: [session], method: post}  # <--\n",
        "things.create: method",
        ["'post'", "allowed: GET, POST, PUT, PATCH, DELETE"],
    ),
    (
        "no auth",
        "  things.create: {method: POST, deployed: true, title: T, params: {}}  # <--\n",
        "things.create",
        ["the key 'auth' is missing"],
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
        "an auth that takes nobody's token",
        "  things.create: {method: POST, deployed: true, title: T, params: {}, auth: []}  # <--\n",
        "things.create: auth",
        ["[]"],
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
        ["'cookie'", "allowed: application, session"],
    ),
    (
        "a deployed of YAML 1.1",
        "  things.create: {method: POST, title: T, auth: [session], deployed: off}  # <--\n",
        "things.create: deployed",
        ["'off' is not allowed; allowed: true, false"],
    ),
    (
        "a role that is unknown",
        f"  things.create: {{{USUAL}, roles: {{planoorder: [boss]}}}}  # <--\n",
        "things.create: roles: planoorder: 0",
        ["'boss'", "allowed: client, employee, liaison"],
    ),
    (
        "an envelope that is unknown",
        f"  things.create: {{{USUAL}, envelope: soap}}  # <--\n",
        "things.create: envelope",
        ["'soap'", "allowed: plano, shoplo"],
    ),
    (
        "a timeout without its unit",
        f"  things.create: {{{USUAL}, timeout: 10}}  # <--\n",
        "things.create: timeout",
        ["10 is not allowed", "250ms or 10s"],
    ),
    (
        "a timeout in minutes",
        f"  things.create: {{{USUAL}, timeout: 10m}}  # <--\n",
        "things.create: timeout",
        ["'10m'", "250ms or 10s"],
    ),
    (
        "a size in a unit that is unknown",
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
        "a success as a status of the route's own",
        f"  things.create: {{{USUAL}, statuses: {{made: {{http: 201, meaning: M}}}}}}  # <--\n",
        "things.create: statuses: made: http",
        ["201 is less than the minimum of 400"],
    ),
    (
        "a service that is unknown",
        f"  nothings.create: {{{USUAL}}}  # <--\n",
        "nothings.create: handler",
        ["unknown service nothings", "known services: things, parts"],
    ),
    (
        "a handler of a service that is unknown",
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
            [path, "is reserved", "/-, /documentation, /openapi.json"],
        )
        for path in ("/-/live", "/-", "/documentation/things", "/openapi.json")
    ),
    (
        "two routes of one shape",
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
        "a common status of a route's own",
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
        "a measure with a line's end",
        f'  things.create: {{{USUAL}, timeout: "10s\\n"}}  # <--\n',
        "things.create: timeout",
        ["'10s\\n'", "250ms or 10s"],
    ),
    (
        "a timeout that no number holds",
        f"  things.create: {{{USUAL}, timeout: {'9' * 5000}s}}  # <--\n",
        "things.create: timeout",
        ["is too large; must be below 2^53 seconds"],
    ),
    (
        "a body that no number holds",
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
        ["cannot be read: embedded null byte"],
    ),
]


@pytest.mark.parametrize(
    ("routes", "place", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_a_fault_has_its_line_its_place_and_what_would_be_allowed(
    tmp_path: Path, routes: str, place: str, words: list[str]
) -> None:
    [diagnostic] = told(tmp_path, START + routes)
    assert (diagnostic.file, diagnostic.line) == (f"{tmp_path}/routes.yaml", marked(START + routes))
    assert diagnostic.path == f"routes: {place}"
    assert [word for word in words if word not in diagnostic.message] == []


# Each row: what is wrong, the file of the route's params, words of the message.
SCHEMAS: list[tuple[str, str | bytes | None, list[str]]] = [
    ("no file", None, ["cannot be read: No such file or directory"]),
    ("no JSON", '{"type": "object",\n "properties": }', ["is not valid JSON", "line 2, column 16"]),
    ("no UTF-8", b'{"title": "\xff"}', ["is not valid JSON", "UTF-8"]),
    ("no object", "[]", ["must be a JSON object"]),
    (
        "a type that is none",
        '{"type": "objekt"}',
        ["is not a valid JSON Schema", "/type", "'objekt'"],
    ),
    ("properties of a number", '{"properties": 5}', ["is not a valid JSON Schema", "/properties"]),
    ("properties of a list", '{"properties": [1]}', ["is not a valid JSON Schema", "/properties"]),
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
        "a pattern that is none",
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
    ("an x-omit that is no list", '{"x-omit": true}', ["x-omit"]),
    ("an x-omit of lists", '{"x-omit": [["token"]]}', ["x-omit"]),
    ("no token where one is needed", '{"x-omit": ["token"]}', ["only a public route"]),
    *(
        (
            f"an object that swallows, in {where}",
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
    ("text", "words"), [row[1:] for row in SCHEMAS], ids=[row[0] for row in SCHEMAS]
)
def test_a_fault_of_a_schema_names_the_route_and_the_file(
    tmp_path: Path, text: str | bytes | None, words: list[str]
) -> None:
    if text is not None:
        file = written(tmp_path, "", "schemas/things/create.json")
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    routes = f"  parts.create: {{{USUAL}}}\n  things.create: {{{FROM_A_FILE}}}  # <--\n"
    [diagnostic] = told(tmp_path, START + routes)
    assert (diagnostic.line, diagnostic.path) == (
        marked(START + routes),
        "routes: things.create: params",
    )
    assert diagnostic.message.startswith(f"{tmp_path}/schemas/things/create.json: ")
    assert [word for word in words if word not in diagnostic.message] == []


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("{properties: {n: {type: integr}}}", ["is not a valid JSON Schema", "/properties/n/type"]),
        ("{properties: {1: {type: integer}}}", ["1"]),
    ],
)
def test_a_fault_of_params_in_the_manifest_has_the_line_of_the_params(
    tmp_path: Path, params: str, words: list[str]
) -> None:
    routes = f"  things.create:\n    {{{FROM_A_FILE},\n     params: {params}}}  # <--\n"
    [diagnostic] = told(tmp_path, START + routes)
    assert diagnostic.line == marked(START + routes)
    assert diagnostic.path.startswith("routes: things.create: params")
    assert [word for word in words if word not in str(diagnostic)] == []


def test_a_param_of_the_path_that_the_schema_would_drop_is_a_fault(tmp_path: Path) -> None:
    routes = f"""  things.read: {{{FROM_A_FILE}, path: "/things/{{id:int}}/{{part}}",
    params: {{properties: {{part: {{type: string}}}}}}}}
"""
    [diagnostic] = told(tmp_path, START + routes)
    assert diagnostic.path == "routes: things.read: params"
    assert diagnostic.message == "the path's {id} would be dropped; add it to `properties`"


@pytest.mark.parametrize(
    "text", ['{"properties": 5}', '{"properties": {"token": 5}}', '{"required": 5}', "[]", "{"]
)
def test_common_params_that_are_no_schema_are_told_with_their_file(
    tmp_path: Path, text: str
) -> None:
    written(tmp_path, text, "schemas/common.json")
    [diagnostic] = told(tmp_path, f"{START}  things.create: {{{USUAL}}}\n")
    assert f"{tmp_path}/schemas/common.json" in str(diagnostic)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    routes = f"""\
  nothings.create:
    {{{USUAL},
     path: nothings,
     statuses: {{invalid-token: {{http: 401, meaning: M}}}}}}
  things.create: {{{FROM_A_FILE}}}
  things.read: {{{FROM_A_FILE}, params: {{x-omit: [token], type: string}}}}
  things.show: {{{FROM_A_FILE}, path: /-/show, params: {{properties: {{n: {{type: object}}}}}}}}
"""
    assert [diagnostic.path for diagnostic in told(tmp_path, START + routes)] == [
        "routes: nothings.create: handler",
        "routes: nothings.create: path",
        "routes: nothings.create: statuses: invalid-token",
        "routes: things.create: params",
        "routes: things.read: params",
        "routes: things.read: params",
        "routes: things.show: path",
        "routes: things.show: params",
    ]


def test_a_fault_of_the_path_does_not_hide_one_of_the_schema(tmp_path: Path) -> None:
    routes = f"  things.create: {{{FROM_A_FILE}, path: things, params: {{type: objekt}}}}\n"
    places = [diagnostic.path for diagnostic in told(tmp_path, START + routes)]
    assert places == ["routes: things.create: path", "routes: things.create: params"]


def test_all_faults_of_form_are_told_at_once(tmp_path: Path) -> None:
    diagnostics = told(
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
        (1, ""),
        (1, "version"),
        (2, "namespace"),
        (4, "services: things"),
        (4, "services: things: kind"),
        (6, "routes: things.create: deployed"),
        (6, "routes: things.create: title"),
    ]


def test_a_fault_of_form_does_not_hide_a_fault_of_another_route(tmp_path: Path) -> None:
    routes = f"""\
  things.create: {{{USUAL}, tittle: T}}
  nothings.create: {{{USUAL}}}
"""
    places = [diagnostic.path for diagnostic in told(tmp_path, START + routes)]
    assert places == ["routes: things.create", "routes: nothings.create: handler"]


def test_a_fault_of_a_service_is_told_once_also_if_its_routes_are_elsewhere(tmp_path: Path) -> None:
    written(tmp_path, START.replace("deployed: true", "deployed: 1") + "  {}\n", "routes/a.yaml")
    rest = START.partition("  things:")[0].replace("services:", "services: {}\nroutes:")
    written(tmp_path, f"{rest}  things.create: {{{USUAL}}}\n", "routes/b.yaml")
    with pytest.raises(ManifestError) as refused:
        check(tmp_path / "routes")
    assert [d.path for d in refused.value.diagnostics] == ["services: things: deployed"]


def test_a_status_s_code_is_stored_as_a_whole_number(tmp_path: Path) -> None:
    routes = f"  things.create: {{{USUAL}, statuses: {{late: {{http: 409.0, meaning: M}}}}}}\n"
    record = checked(tmp_path, routes).routes["things.create"].record
    assert orjson.dumps(record["statuses"]) == b'{"late":{"http":409,"meaning":"M"}}'


def test_the_faults_of_all_files_of_a_folder_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        route = f"  nothings.{name}: {{{USUAL}}}\n"
        written(tmp_path, START.replace("things:", f"{name}:") + route, f"routes/{name}.yaml")
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


def test_each_namespace_of_a_manifest_has_its_own_records(tmp_path: Path) -> None:
    text = f"{START}  things.create: {{{USUAL}}}\n{OTHER}  others.create: {{{USUAL}}}\n"
    first, second = check(written(tmp_path, text))
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


def test_a_namespace_that_holds_nothing_is_desired_all_the_same(tmp_path: Path) -> None:
    nothing = "version: 1\nnamespace: test\nservices: {}\nroutes: {}\n"
    assert check(written(tmp_path, nothing)) == [Desired("test")]


def test_a_namespace_may_be_spread_over_files(tmp_path: Path) -> None:
    written(tmp_path, f"{START}  things.create: {{{USUAL}}}\n", "routes/a.yaml")
    more = "version: 1\nnamespace: test\nservices: {}\nroutes:\n"
    written(tmp_path, f"{more}  parts.create: {{{USUAL}}}\n", "routes/b.yaml")
    [desired] = check(tmp_path / "routes")
    assert [*desired.routes] == ["things.create", "parts.create"]


@pytest.mark.parametrize(
    ("route", "place", "words"),
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
def test_namespaces_share_names_and_paths_but_no_services(
    tmp_path: Path, route: str, place: str, words: str
) -> None:
    text = f"{START}  things.create: {{{USUAL}, path: /make}}\n{OTHER}  {route}: {{{USUAL}}}\n"
    if route == "others.create":
        text = text.replace(f"{route}: {{", f"{route}: {{path: /make, ")
    diagnostics = {diagnostic.path: diagnostic.message for diagnostic in told(tmp_path, text)}
    assert words.format(tmp_path) in diagnostics[place]


def test_a_route_has_every_default_written_out(tmp_path: Path) -> None:
    route = checked(tmp_path, f"  things.create: {{{USUAL}}}\n").routes["things.create"]
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
    }


def test_what_a_route_says_wins_over_the_defaults(tmp_path: Path) -> None:
    desired = checked(
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
    }


@pytest.mark.parametrize(
    ("given", "name", "value"),
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
def test_a_measure_is_stored_in_seconds_or_bytes(
    tmp_path: Path, given: str, name: str, value: Any
) -> None:
    auth = "" if given.startswith("auth") else "auth: [session], "
    routes = (
        f"  things.do: {{method: POST, deployed: true, title: T, {auth}{given}, params: {{}}}}\n"
    )
    record = checked(tmp_path, routes).routes["things.do"].record
    assert (record[name], type(record[name])) == (value, type(value))


def test_a_route_has_the_common_params(tmp_path: Path) -> None:
    document = schema(tmp_path, "{required: [n], properties: {n: {type: integer}}}")
    assert document["type"] == "object"
    assert document["required"] == ["n", "token"]
    assert document["properties"].keys() == {
        *("n", "token", "application", "application_view", "session_view")
    }
    assert document["properties"]["n"] == {"type": "integer"}
    assert document["properties"]["token"]["x-common"] is True
    assert document["properties"]["token"]["x-order"] == 100


def test_a_public_route_has_no_token(tmp_path: Path) -> None:
    routes = "  things.do: {method: POST, deployed: true, title: T, auth: public, params: {}}\n"
    document = orjson.loads(checked(tmp_path, routes).routes["things.do"].params)
    assert document["required"] == []
    assert "token" not in document["properties"]
    assert "application" in document["properties"]


def test_a_route_may_omit_common_params(tmp_path: Path) -> None:
    document = schema(tmp_path, "{x-omit: [application, session_view]}")
    assert document["properties"].keys() == {"token", "application_view"}
    assert "x-omit" not in document


def test_a_route_may_change_a_common_param(tmp_path: Path) -> None:
    document = schema(tmp_path, "{properties: {application: {type: integer, x-common: false}}}")
    application = document["properties"]["application"]
    assert (application["type"], application["x-common"]) == ("integer", False)
    assert application["x-order"] == 200


def test_a_manifest_may_have_common_params_of_its_own(tmp_path: Path) -> None:
    own = {"required": ["key"], "properties": {"key": {"type": "string"}}}
    written(tmp_path, orjson.dumps(own).decode(), "schemas/common.json")
    document = schema(tmp_path, "{required: [n, key]}")
    assert document["properties"] == {"key": {"type": "string", "x-common": True}}
    assert document["required"] == ["n", "key"]


def test_params_may_be_in_another_file(tmp_path: Path) -> None:
    written(tmp_path, '{"properties": {"n": {"type": "integer"}}}', "schemas/shared/n.json")
    assert schema(tmp_path, "schemas/shared/n.json")["properties"]["n"] == {"type": "integer"}


def test_params_are_in_the_file_of_the_handler(tmp_path: Path) -> None:
    written(tmp_path, '{"properties": {"n": {}}}', "schemas/parts/create.json")
    routes = f"  things.create: {{{FROM_A_FILE}, handler: parts.create}}\n"
    assert '"n":{}' in checked(tmp_path, routes).routes["things.create"].params


def test_another_file_that_is_missing_is_named(tmp_path: Path) -> None:
    routes = f"  things.create: {{{FROM_A_FILE}, params: schemas/no.json}}\n"
    [diagnostic] = told(tmp_path, START + routes)
    assert diagnostic.message.startswith(f"{tmp_path}/schemas/no.json: cannot be read")


def test_the_schemas_are_beside_a_file_and_in_or_beside_a_folder(tmp_path: Path) -> None:
    inside, beside = tmp_path / "inside", tmp_path / "beside"
    (inside / "schemas").mkdir(parents=True)
    beside.mkdir()
    assert schema_folder(tmp_path / "routes.yaml") == tmp_path / "schemas"
    assert schema_folder(inside) == inside / "schemas"
    assert schema_folder(beside) == tmp_path / "schemas"


def test_a_manifest_is_watched_with_its_schemas(tmp_path: Path) -> None:
    file = written(tmp_path, START)
    inner = written(tmp_path, "{}", "schemas/things/create.json")
    folders = watched_folders(file)
    for each in file, inner:
        assert {each, *each.parents} & set(folders)


def test_only_what_is_there_is_watched(tmp_path: Path) -> None:
    assert all(folder.exists() for folder in watched_folders(written(tmp_path, START)))


def test_a_warning_names_the_deployed_routes_without_code(tmp_path: Path) -> None:
    desired = checked(
        tmp_path,
        f"""\
  things.create: {{{USUAL}}}
  things.known: {{{USUAL}}}
  things.later: {{{USUAL.replace("true", "false")}}}
  parts.create: {{{USUAL}}}
""",
    )
    [warning] = warnings([desired], ["things.known"])
    assert "things.create" in warning
    assert "service-not-found" in warning


def test_the_manifest_of_the_repository_passes_and_has_the_documented_paths() -> None:
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
    assert create["roles"] == {"planoorder": ["employee", "liaison"]}
    assert desired.routes["order_stages.index"].record["deployed"] is False
    assert desired.services["appointments"]["deployed"] is False
