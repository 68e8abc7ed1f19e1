"""The command line: what each verb prints, on which stream, and how it exits."""

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
from click.testing import CliRunner
from support.command import environment, fails, run, succeeds
from support.harness import ROOT, execute

from gateway import statuses
from gateway.cli.main import app
from gateway.settings import SETTINGS

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
    """A folder with the repository's manifest and schemas."""
    shutil.copy(ROOT / "routes.yaml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return tmp_path


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in asyncio.run(execute(url, query))]


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All verbs of the command, those of groups too."""
    if not hasattr(command, "commands"):
        yield words
        return
    for name, inner in command.commands.items():
        yield from verbs(inner, (*words, name))


VERBS = sorted(verbs(app))


def test_the_documented_verbs_are_there() -> None:
    documented = "apply check config dev migrate routes serve statuses token".split()
    assert set(documented) <= {words[0] for words in VERBS}


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_the_help_of_a_verb_has_an_example(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"gateway {' '.join(words)}" in shown.output.partition("Example:")[2]


def test_the_command_alone_lists_its_verbs(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    listed = done.stdout + done.stderr
    assert [words[0] for words in VERBS if words[0] not in listed] == []


def test_the_version_is_that_of_the_project(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert succeeds("--version", cwd=tmp_path) == f"{project['name']} {project['version']}\n"


@pytest.mark.parametrize("words", [["aply"], ["plan", "--aply"], ["plan", "a", "b"]])
def test_a_mistake_of_use_is_no_plan_with_changes(tmp_path: Path, words: list[str]) -> None:
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Usage" in done.stderr


def test_check_passes_what_the_repository_serves(folder: Path) -> None:
    assert "routes.yaml is valid: 16 routes of 6 services" in succeeds("check", cwd=folder)


def test_check_as_json_is_json(folder: Path) -> None:
    (folder / "other.yaml").write_text(manifest())
    done = run("check", "other.yaml", "--json", cwd=folder)
    [warning] = orjson.loads(done.stdout).pop("warnings")
    counted = {"routes": 1, "services": 1, "warnings": [warning], "faults": []}
    assert orjson.loads(done.stdout) == counted
    assert done.stderr == f"warning: {warning}\n"
    assert "things.create" in warning


def test_check_tells_every_fault_on_standard_error_and_exits_1(tmp_path: Path) -> None:
    text = manifest().replace("things.create", "nothings.create") + manifest().partition("\n")[0]
    (tmp_path / "1.yaml").write_text(text)
    assert fails("check", "1.yaml", cwd=tmp_path) == (
        "1.yaml:7: version: duplicate key; line 1 has it already\n"
    )
    (tmp_path / "1.yaml").write_text(manifest().replace("things.create", "nothings.create"))
    (tmp_path / "2.yaml").write_text(manifest("other", "parts").replace("params: {}", ""))
    told = fails("check", ".", cwd=tmp_path).splitlines()
    assert [line.partition(": ")[0] for line in told] == ["1.yaml:6", "2.yaml:6"]


def test_check_of_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    assert fails("check", cwd=tmp_path) == (
        "routes.yaml: cannot be read: No such file or directory\n"
    )


def test_a_database_is_migrated_applied_to_and_listed(empty_database: str, folder: Path) -> None:
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

    listed = {
        row["route"]: (row["method"], row["path"], row["state"])
        for row in orjson.loads(gateway("routes", "--json"))
    }
    assert listed.pop("statuses.read") == ("GET", "/services/statuses/{id:int}", "served")
    own = ("order_stages.", "appointments.")
    assert {name: row for name, row in listed.items() if name.startswith(own)} == {
        "order_stages.create": ("POST", "/api/v1/order_stages/create", "served"),
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
    assert [name for name in listed if name not in printed] == []


def test_apply_as_json_is_json(database: str, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(manifest() + "---\n" + manifest("other", "parts"))
    printed = succeeds("apply", "--json", cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    first, second = orjson.loads(printed)
    assert (first["namespace"], second["namespace"]) == ("test", "other")
    assert second["revision"] == first["revision"] + 1
    assert first["left_alone"] == []
    assert {(each["verb"], each["kind"], each["name"]) for each in first["changes"]} == {
        ("add", "service", "things"),
        ("add", "route", "things.create"),
    }


def test_only_prune_deletes(database: str, tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(manifest("plano"))
    url = {"GATEWAY_DATABASE_URL": database}
    printed = succeeds("apply", cwd=tmp_path, **url)
    assert "left alone, since only --prune deletes: order_stages.create\n" in printed
    count = "select count(*) from gateway.routes where namespace = 'plano'"
    assert rows(database, count) == [(17,)]
    printed = succeeds("apply", "--prune", "--max-deletes", "20", cwd=tmp_path, **url)
    assert "- route order_stages.create\n" in printed
    assert rows(database, count) == [(1,)]


def test_an_apply_that_is_refused_writes_nothing(database: str, tmp_path: Path) -> None:
    before = rows(database, "select * from gateway.routes order by name")
    # The first document could be applied; the second takes a service of another namespace.
    text = manifest() + "---\n" + manifest("other", "order_stages")
    (tmp_path / "routes.yaml").write_text(text)
    told = fails("apply", cwd=tmp_path, GATEWAY_DATABASE_URL=database).splitlines()
    faults = [line for line in told if not line.startswith("warning: ")]
    assert faults == [
        "other: services: order_stages: belongs to the namespace plano",
        "other: routes: order_stages.create: belongs to the namespace plano",
    ]
    assert rows(database, "select * from gateway.routes order by name") == before


def test_a_token_of_an_application_is_printed_once_and_stored_as_its_hash(
    database: str, tmp_path: Path
) -> None:
    args = "token create --application planoorder --routes order_stages.*,appointments.create"
    printed = succeeds(*args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    token = printed.strip()
    assert printed == f"{token}\n"
    assert token.startswith("plano_app_")
    query = "select token_hash, routes from application_tokens order by id desc limit 1"
    names = ["order_stages.*", "appointments.create"]
    assert rows(database, query) == [(hashlib.sha256(token.encode()).digest(), names)]


def test_a_token_of_a_user_is_a_session(database: str, tmp_path: Path) -> None:
    args = "token create --application planoorder --user Employee@example.com"
    token = succeeds(*args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database).strip()
    assert token.startswith("plano_ses_")
    query = "select token_hash, user_id from sessions order by id desc limit 1"
    assert rows(database, query) == [(hashlib.sha256(token.encode()).digest(), 1)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--application nobody --routes *", "there is no application 'nobody'"),
        ("--application planoorder --user x@example.com", "there is no user 'x@example.com'"),
    ],
)
def test_a_token_that_cannot_be_made_is_told(
    database: str, tmp_path: Path, args: str, words: str
) -> None:
    told = fails("token", "create", *args.split(), cwd=tmp_path, GATEWAY_DATABASE_URL=database)
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("verb", ["migrate", "apply", "routes"])
def test_a_database_that_is_unknown_is_told_in_one_line(
    verb: str, folder: Path, empty_database: str
) -> None:
    nowhere = urlunsplit(urlsplit(empty_database)._replace(path="/no_such_database"))
    told = fails(verb, cwd=folder, GATEWAY_DATABASE_URL=nowhere)
    assert told == 'the database cannot be used: database "no_such_database" does not exist\n'


def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    url = "postgresql://ada:verysecret@127.0.0.1:1/gateway"
    told = fails("routes", cwd=tmp_path, GATEWAY_DATABASE_URL=url)
    assert told.startswith("the database cannot be used: ")
    assert told.count("\n") == 1
    assert "verysecret" not in told


def test_a_verb_that_needs_a_database_says_how_to_name_one(tmp_path: Path) -> None:
    told = fails("routes", cwd=tmp_path)
    assert told.startswith("GATEWAY_DATABASE_URL is not set")
    assert told.count("\n") == 1


def test_a_database_without_tables_is_told_in_one_line(empty_database: str, folder: Path) -> None:
    told = fails("apply", cwd=folder, GATEWAY_DATABASE_URL=empty_database)
    assert "run `gateway migrate`" in told
    assert told.count("\n") == 1


def test_a_migration_that_was_edited_is_told(empty_database: str, tmp_path: Path) -> None:
    url = {"GATEWAY_DATABASE_URL": empty_database}
    succeeds("migrate", cwd=tmp_path, **url)
    edit = "update gateway.migrations set checksum = 'other' where name like '%0001_registry.sql'"
    asyncio.run(execute(empty_database, edit))
    told = fails("migrate", cwd=tmp_path, **url)
    assert told.startswith("gateway/0001_registry.sql was edited after it was applied")


def test_statuses_are_the_catalogue(tmp_path: Path) -> None:
    listed = orjson.loads(succeeds("statuses", "--json", cwd=tmp_path))
    assert [(row["status"], row["http"]) for row in listed] == [
        (status.slug, status.http) for status in statuses.catalogue()
    ]


SECRET = "postgresql://ada:verysecret@db.example.com/gateway"


@pytest.mark.parametrize("options", [(), ("--json",), ("--env",)], ids=["table", "json", "env"])
def test_config_shows_every_setting_and_no_secret(tmp_path: Path, options: tuple[str, ...]) -> None:
    changes = {"GATEWAY_DATABASE_URL": SECRET, "GATEWAY_WORKERS": "7"}
    printed = succeeds("config", *options, cwd=tmp_path, **changes)
    assert [setting.variable for setting in SETTINGS if setting.variable not in printed] == []
    assert "verysecret" not in printed
    assert "db.example.com" not in printed
    if options == ("--json",):
        values = {row["setting"]: row["value"] for row in orjson.loads(printed)}
        assert (values["GATEWAY_WORKERS"], values["GATEWAY_HOST"]) == ("7", "127.0.0.1")
        assert values["GATEWAY_DATABASE_URL"] == values["GATEWAY_LISTEN_DATABASE_URL"] == "********"


def test_all_settings_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    told = fails("config", cwd=tmp_path, GATEWAY_PORT="http", GATEWAY_WORKERS="0")
    assert told.count("\n") == 1
    assert "GATEWAY_PORT must be" in told
    assert "GATEWAY_WORKERS must be" in told


def test_a_variable_that_is_no_setting_is_a_warning(tmp_path: Path) -> None:
    done = run("config", cwd=tmp_path, GATEWAY_PROT="8000")
    assert done.returncode == 0
    assert "warning: GATEWAY_PROT is not a setting" in done.stderr


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m gateway statuses --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"[", b"")
