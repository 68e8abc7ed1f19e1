"""The command line: output, streams and exit codes of each verb."""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import pytest
import yaml
from click.testing import CliRunner
from support.command import environment, fails, run, succeeds
from support.harness import ROOT, execute

from gateway import statuses
from gateway.cli.main import app
from gateway.settings import SETTINGS

APPLICATION = yaml.safe_load((ROOT / "routes.yaml").read_text())
ROUTES, SERVICES = len(APPLICATION["routes"]), len(APPLICATION["services"])
MANIFEST = """\
version: 1
namespace: {namespace}
services:
  {service}: {{kind: python, deployed: true, title: Things}}
routes:
  {service}.create: {{method: POST, deployed: true, title: T, auth: [session], params: {{}}}}
"""


def manifest(namespace: str = "test", service: str = "things") -> str:
    return MANIFEST.format(namespace=namespace, service=service)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the repository's application."""
    shutil.copy(ROOT / "routes.yaml", tmp_path)
    for name in ("schemas", "services"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in asyncio.run(execute(url, query))]


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every verb, including those of groups."""
    if not hasattr(command, "commands"):
        yield words
        return
    for name, inner in command.commands.items():
        yield from verbs(inner, (*words, name))


VERBS = sorted(verbs(app))


def test_command_has_the_documented_verbs() -> None:
    documented = "apply check config dev migrate routes serve statuses token".split()
    assert set(documented) <= {words[0] for words in VERBS}


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_verb_help_has_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"gateway {' '.join(words)}" in result.output.partition("Example:")[2]


def test_command_without_arguments_lists_its_verbs(tmp_path: Path) -> None:
    result = run(cwd=tmp_path)
    output = result.stdout + result.stderr
    assert [words[0] for words in VERBS if words[0] not in output] == []


def test_version_is_the_version_of_the_project(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert succeeds("--version", cwd=tmp_path) == f"{project['name']} {project['version']}\n"


@pytest.mark.parametrize("words", [["aply"], ["plan", "--aply"], ["plan", "a", "b"]])
def test_usage_error_exits_1(tmp_path: Path, words: list[str]) -> None:
    result = run(*words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "Usage" in result.stderr


def test_check_accepts_the_manifest_of_the_repository(folder: Path) -> None:
    printed = succeeds("check", cwd=folder)
    assert f"routes.yaml is valid: {ROUTES} routes of {SERVICES} services" in printed


def test_check_prints_json(folder: Path) -> None:
    (folder / "other.yaml").write_text(manifest())
    result = run("check", "other.yaml", "--json", cwd=folder)
    [warning] = orjson.loads(result.stdout).pop("warnings")
    expected = {"routes": 1, "services": 1, "warnings": [warning], "faults": []}
    assert orjson.loads(result.stdout) == expected
    assert result.stderr == f"warning: {warning}\n"
    assert "things.create" in warning


def test_check_reports_every_error_on_standard_error_and_exits_1(tmp_path: Path) -> None:
    text = manifest().replace("things.create", "nothings.create") + manifest().partition("\n")[0]
    (tmp_path / "1.yaml").write_text(text)
    assert fails("check", "1.yaml", cwd=tmp_path) == (
        "1.yaml:7: version: duplicate key; line 1 has it already\n"
    )
    (tmp_path / "1.yaml").write_text(manifest().replace("things.create", "nothings.create"))
    (tmp_path / "2.yaml").write_text(manifest("other", "parts").replace("params: {}", ""))
    stderr = fails("check", ".", cwd=tmp_path).splitlines()
    assert [line.partition(": ")[0] for line in stderr] == ["1.yaml:6", "2.yaml:6"]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ([], "Exit codes: 0 done, 1 an error, 2 changes of a plan, 130 interrupted."),
        (["plan"], "Exit codes: 0 nothing to change, 2 changes, 1 an error."),
        (["dev"], "Exit codes: 0 stopped by a signal, 130 stopped while it starts, 1 an error."),
        (["token", "list"], "Exit codes: 0 done, 1 an error."),
    ],
)
def test_help_says_the_exit_codes(tmp_path: Path, words: list[str], codes: str) -> None:
    assert codes in " ".join(succeeds(*words, "--help", cwd=tmp_path).split())


def test_dev_without_its_extra_says_how_to_install_it(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['watchfiles'] = None; sys.argv = ['gateway', 'dev']; "
    command = [sys.executable, "-c", f"{blocked}from gateway.cli.main import main; main()"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "watchfiles is not installed: install the gateway with its extra `dev`" in done.stderr
    assert "pip install '.[dev]'" in done.stderr


INTERRUPTED_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "start", ["import runpy; runpy.run_module('gateway', run_name='__main__')", "script"]
)
def test_command_that_is_interrupted_while_it_imports_prints_no_traceback(
    tmp_path: Path, start: str
) -> None:
    if start == "script":
        script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        module, _, function = script["gateway"].partition(":")
        start = f"from {module} import {function}; {function}()"
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT + start],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_check_reports_a_missing_file(tmp_path: Path) -> None:
    assert fails("check", "routes.yaml", cwd=tmp_path) == (
        "routes.yaml: cannot be read: No such file or directory\n"
    )


def test_migrate_apply_and_routes_work_on_an_empty_database(
    empty_database: str, folder: Path
) -> None:
    def gateway(*args: str) -> str:
        return succeeds(*args, cwd=folder, GATEWAY_DATABASE_URL=empty_database)

    assert gateway("migrate").splitlines()[0] == "applied gateway/0001_registry.sql"
    assert gateway("migrate") == "up to date\n"

    printed = gateway("apply", "--message", "we go live", "--actor", "ada")
    assert "+ route order_stages.create\n" in printed
    assert printed.endswith("namespace plano is at revision 1\n")
    query = "select id, applied_by, message from gateway.revisions"
    assert rows(empty_database, query) == [(1, "ada", "we go live")]
    assert gateway("apply") == "namespace plano has nothing to change at revision 1\n"

    routes = {
        row["route"]: (row["method"], row["path"], row["state"])
        for row in orjson.loads(gateway("routes", "--json"))
    }
    assert routes.pop("statuses.read") == ("GET", "/services/statuses/{id:int}", "served")
    own = ("order_stages.", "appointments.")
    assert {name: row for name, row in routes.items() if name.startswith(own)} == {
        "order_stages.create": ("POST", "/api/v1/order_stages/create", "served"),
        "order_stages.history": ("POST", "/api/v1/order_stages/history", "served"),
        "order_stages.index": (
            "POST",
            "/api/v1/order_stages/index",
            "route-not-found: the route is not deployed",
        ),
        "appointments.create": (
            "POST",
            "/api/v1/appointments/create",
            "service-not-found: the service appointments is not deployed",
        ),
    }
    printed = gateway("routes")
    assert [name for name in routes if name not in printed] == []


def test_apply_prints_json(database: str, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(manifest() + "---\n" + manifest("other", "parts"))
    printed = succeeds("apply", "--json", cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    first, second = orjson.loads(printed)
    assert (first["namespace"], second["namespace"]) == ("test", "other")
    assert second["revision"] == first["revision"] + 1
    assert first["left_alone"] == []
    assert {(change["verb"], change["kind"], change["name"]) for change in first["changes"]} == {
        ("add", "service", "things"),
        ("add", "route", "things.create"),
    }


def test_apply_deletes_only_with_prune(database: str, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(manifest("plano"))
    url = {"GATEWAY_DATABASE_URL": database}
    printed = succeeds("apply", cwd=tmp_path, **url)
    assert "order_stages.create: kept, although the manifest leaves it out; --prune" in printed
    count = "select count(*) from gateway.routes where namespace = 'plano'"
    assert rows(database, count) == [(ROUTES + 1,)]
    printed = succeeds("apply", "--prune", "--max-deletes", "100", cwd=tmp_path, **url)
    assert "- route order_stages.create\n" in printed
    assert rows(database, count) == [(1,)]


def test_apply_that_is_refused_writes_nothing(database: str, tmp_path: Path) -> None:
    before = rows(database, "select * from gateway.routes order by name")
    # The first document is valid; the second claims a service of another namespace.
    text = manifest() + "---\n" + manifest("other", "order_stages")
    (tmp_path / "routes.yaml").write_text(text)
    stderr = fails("apply", cwd=tmp_path, GATEWAY_DATABASE_URL=database).splitlines()
    errors = [line for line in stderr if not line.startswith("warning: ")]
    assert [error.partition(": ")[2].partition("; ")[0] for error in errors] == [
        "services: order_stages: belongs to the namespace plano",
        "routes: order_stages.create: belongs to the namespace plano",
    ]
    assert rows(database, "select * from gateway.routes order by name") == before


def test_token_create_prints_the_token_and_stores_its_hash(database: str, tmp_path: Path) -> None:
    args = "token create --application planoorder --routes order_stages.*,appointments.create"
    printed = succeeds(*args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    token = printed.strip()
    assert printed == f"{token}\n"
    assert token.startswith("plano_app_")
    query = "select token_hash, routes from gateway.application_tokens order by id desc limit 1"
    names = ["order_stages.*", "appointments.create"]
    assert rows(database, query) == [(hashlib.sha256(token.encode()).digest(), names)]


def test_token_create_with_a_user_creates_a_session(database: str, tmp_path: Path) -> None:
    args = "token create --application planoorder --user Employee@example.com"
    token = succeeds(*args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database).strip()
    assert token.startswith("plano_ses_")
    query = "select token_hash, user_id from gateway.sessions order by id desc limit 1"
    assert rows(database, query) == [(hashlib.sha256(token.encode()).digest(), 1)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--application planox9 --routes *", "unknown application 'planox9'"),
        ("--application planoorder --user x@example.com", "unknown user 'x@example.com'"),
    ],
)
def test_token_create_reports_an_unknown_application_or_user(
    database: str, tmp_path: Path, args: str, words: str
) -> None:
    stderr = fails("token", "create", *args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    assert words in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["migrate", "apply", "routes"])
def test_unknown_database_is_reported_in_one_line(
    verb: str, folder: Path, empty_database: str
) -> None:
    url = urlunsplit(urlsplit(empty_database)._replace(path="/no_such_database"))
    stderr = fails(verb, cwd=folder, GATEWAY_DATABASE_URL=url)
    assert stderr.startswith("the database ")
    assert stderr.endswith(
        '/no_such_database cannot be used: database "no_such_database" does not exist\n'
    )


def test_unreachable_server_is_reported_in_one_line(tmp_path: Path) -> None:
    url = "postgresql://ada:verysecret@127.0.0.1:1/gateway"
    stderr = fails("routes", cwd=tmp_path, GATEWAY_DATABASE_URL=url)
    assert stderr.startswith("the database 127.0.0.1:1/gateway cannot be used: ")
    assert stderr.count("\n") == 1
    assert "verysecret" not in stderr


def test_missing_database_url_is_reported_in_one_line(tmp_path: Path) -> None:
    stderr = fails("routes", cwd=tmp_path)
    assert stderr.startswith("GATEWAY_DATABASE_URL is not set")
    assert stderr.count("\n") == 1


def test_database_without_tables_is_reported_in_one_line(empty_database: str, folder: Path) -> None:
    stderr = fails("apply", cwd=folder, GATEWAY_DATABASE_URL=empty_database)
    assert "run `gateway migrate`" in stderr
    assert stderr.count("\n") == 1


def test_migrate_reports_an_edited_migration(empty_database: str, tmp_path: Path) -> None:
    url = {"GATEWAY_DATABASE_URL": empty_database}
    succeeds("migrate", cwd=tmp_path, **url)
    edit = "update gateway.migrations set checksum = 'other' where name like '%0001_registry.sql'"
    asyncio.run(execute(empty_database, edit))
    stderr = fails("migrate", cwd=tmp_path, **url)
    assert stderr.startswith("gateway/0001_registry.sql was edited after it was applied")


def test_statuses_lists_the_catalogue(tmp_path: Path) -> None:
    statuses_in_json = orjson.loads(succeeds("statuses", "--json", cwd=tmp_path))
    assert [(row["status"], row["http"]) for row in statuses_in_json] == [
        (status.slug, status.http) for status in statuses.catalogue()
    ]


SECRET = "postgresql://ada:verysecret@db.example.com/gateway"


@pytest.mark.parametrize("options", [(), ("--json",), ("--env",)], ids=["table", "json", "env"])
def test_config_prints_every_setting_and_no_secret(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    changes = {"GATEWAY_DATABASE_URL": SECRET, "GATEWAY_WORKERS": "7"}
    printed = succeeds("config", *options, cwd=tmp_path, **changes)
    assert [setting.variable for setting in SETTINGS if setting.variable not in printed] == []
    assert "verysecret" not in printed
    assert "db.example.com" not in printed
    if options == ("--json",):
        values = {row["setting"]: row["value"] for row in orjson.loads(printed)}
        assert (values["GATEWAY_WORKERS"], values["GATEWAY_HOST"]) == ("7", "127.0.0.1")
        assert values["GATEWAY_DATABASE_URL"] == values["GATEWAY_LISTEN_DATABASE_URL"] == "********"


def test_config_reports_every_invalid_setting_at_once(tmp_path: Path) -> None:
    stderr = fails("config", cwd=tmp_path, GATEWAY_PORT="http", GATEWAY_WORKERS="0")
    assert stderr.count("\n") == 1
    assert "GATEWAY_PORT must be" in stderr
    assert "GATEWAY_WORKERS must be" in stderr


def test_config_warns_of_an_unknown_variable(tmp_path: Path) -> None:
    result = run("config", cwd=tmp_path, GATEWAY_PROT="8000")
    assert result.returncode == 0
    assert "warning: GATEWAY_PROT is not a setting" in result.stderr


def test_output_to_a_closed_pipe_prints_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m gateway statuses --json | head -c 1"
    result = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, check=True
    )
    assert (result.stdout, result.stderr) == (b"[", b"")
