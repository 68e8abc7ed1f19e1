"""An application of one's own, outside this repository, with the gateway installed as a wheel."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from support.apps import MANIFEST, action, installed, write_files
from support.command import environment, run, servers_of, started, succeeds, wait_until
from support.dev import dev_json, developing, post, status
from support.harness import ROOT

README = (ROOT / "README.md").read_text()
HEAD = "version: 1\nnamespace: mine\napplications: {shop: {title: Shop, roles: [employee]}}\n"


def recipe(language: str) -> str:
    """A block of the README's service in five minutes."""
    section = README.partition("## A service in five minutes")[2]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return (found or pytest.fail(f"no {language} in the README"))[1]


def write_recipe(folder: Path) -> None:
    """README's recipe in an application folder of its own."""
    write_files(
        folder, {"services/greetings.py": recipe("python"), "routes.yaml": HEAD + recipe("yaml")}
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has the wheel; dependencies are those of here."""
    folder = tmp_path_factory.mktemp("installed")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    # An installer moves what is below `.data`, the man pages and completions, out of the packages.
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"gateway"}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    # A path in a .pth file brings the packages, and not the .pth files that are beside them.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def gateway(python: Path, tmp_path: Path) -> Callable[..., str]:
    """The installed command in an empty folder; a call returns its output, and must exit 0."""

    def run(*words: str) -> str:
        done = subprocess.run(
            [python, "-m", "gateway", *words],
            cwd=tmp_path,
            env={**environment(), "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_wheel_serves_the_application_of_plano_from_an_empty_folder(
    gateway: Callable[..., str],
) -> None:
    printed = gateway("check")
    assert "site-packages/gateway/plano/routes.yaml is valid" in printed
    assert "warning" not in printed


def test_wheel_serves_the_recipe_of_the_readme_in_a_folder_of_its_own(
    gateway: Callable[..., str], python: Path, tmp_path: Path
) -> None:
    write_recipe(tmp_path)
    assert gateway("check") == "routes.yaml is valid: 1 route of 1 service\n"
    command = [str(python), "-m", "gateway", "dev"]
    try:
        with started(command, tmp_path, {"PYTHONPATH": ""}) as dev:
            line = dev.wait_for(r"(?ms)^curl .*?'$")[0]
            assert "/api/v1/greetings/create" in line
            answer = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
            assert b'"greeting": "Hello example"' in answer.replace(b'":"', b'": "')
            assert "reloaded" not in dev.out
            file = tmp_path / "services" / "greetings.py"
            file.write_text(file.read_text().replace("Hello", "Welcome"))
            dev.wait_for("reloaded greetings\n")
            name = post(tmp_path, "greetings/create", name="Ada").json()
            assert name["data"] == {"greeting": "Welcome Ada"}
            file.write_text("def\n")
            dev.wait_for(r"not reloaded: services/greetings\.py:1: SyntaxError: ")
            assert status(tmp_path, "greetings/create", name="Ada") == "action-successful"
    finally:
        for server in servers_of(tmp_path):
            os.kill(server, 9)


def test_option_and_setting_name_the_application(tmp_path: Path) -> None:
    write_recipe(tmp_path / "mine")
    found = "mine/routes.yaml is valid: 1 route of 1 service\n"
    assert succeeds("check", "--app", "mine", cwd=tmp_path) == found
    assert succeeds("check", cwd=tmp_path, GATEWAY_APP="mine") == found


@pytest.mark.parametrize("verb", ["check", "dev"])
def test_service_that_cannot_be_imported_is_one_line(tmp_path: Path, verb: str) -> None:
    write_recipe(tmp_path)
    (tmp_path / "services" / "greetings.py").write_text("def\n")
    stderr = run(verb, cwd=tmp_path).stderr
    assert stderr == "services/greetings.py:1: SyntaxError: invalid syntax\n"


def test_check_says_why_a_module_lacks_an_action(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    (tmp_path / "services" / "greetings.py").write_text("def create(call):\n    return 1\n")
    assert run("check", cwd=tmp_path).stderr == (
        "warning: greetings.create: no code is installed for the action greetings.create; calls "
        "will answer service-not-found; services/greetings.py has create, but it is not an async "
        "function\n"
    )


def test_dev_names_file_and_line_of_a_broken_migration(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    write_files(tmp_path, {"services/migrations/0001_x.sql": "creat table x ();"})
    done = run("dev", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        'services/0001_x.sql:1: syntax error at or near "creat"; '
        "this migration is not applied, and those before it stay applied\n"
    )


def test_warning_about_missing_code_says_where_it_was_looked_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"routes.yaml": MANIFEST.format(service="parcels")})
    command = [sys.executable, "-m", "gateway", "check"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert (
        "looked in services (there is no such folder), in Plano's own clients, sessions, users, "
        "and in the entry points of the group gateway.services (none)"
    ) in done.stderr


def test_dev_follows_a_save_in_an_installed_package(tmp_path: Path) -> None:
    site, app = tmp_path / "site", tmp_path / "app"
    files = {
        "acme_services/__init__.py": "",
        "acme_services/parcels.py": action(said="old"),
        "acme_services/migrations/0001_parcels.sql": "create table parcels (id int);",
    }
    installed(site, {"acme": "acme_services"}, files)
    write_files(
        app,
        {
            "routes.yaml": MANIFEST.format(service="parcels"),
            "services/migrations/0001_own.sql": "create table own (id int);",
            "services/demo.sql": "insert into own values (1);",
        },
    )
    with developing(app, PYTHONPATH=os.pathsep.join([str(ROOT), str(site)])) as dev:
        assert "applied services/0001_own.sql\napplied acme/0001_parcels.sql\n" in dev.out
        assert said(app) == "old"
        write_files(site, {"acme_services/parcels.py": action(said="newer")})
        dev.wait_for("reloaded parcels\n")
        wait_until(lambda: said(app) == "newer")
        write_files(site, {"acme_services/__init__.py": "def\n"})
        dev.wait_for("not reloaded: ")
        assert said(app) == "newer"
        write_files(site, {"acme_services/parcels.py": action(said="newest")})
        write_files(site, {"acme_services/__init__.py": ""})
        wait_until(lambda: said(app) == "newest")


def said(folder: Path) -> str:
    answer: str = post(folder, "parcels/create").json()["data"]["said"]
    return answer


def test_dev_without_an_application_in_the_manifest_has_no_tokens(tmp_path: Path) -> None:
    files = {
        "routes.yaml": "version: 1\nnamespace: a\nservices: {a: {kind: python, deployed: true, "
        "title: T}}\nroutes: {a.create: {method: POST, deployed: true, title: T, auth: [session], "
        "params: {}}}\n",
        "services/a.py": action(),
    }
    write_files(tmp_path, files)
    with developing(tmp_path) as dev:
        dev.wait_for("There are no demo tokens, since the manifest declares no application")
        assert dev_json(tmp_path)["tokens"] == {}
        assert "curl" not in dev.out
        assert httpx2.get(f"{dev.url()}/-/ready").json()["ready"]


def test_workers_serve_the_application_that_the_option_names(
    empty_database: str, tmp_path: Path
) -> None:
    write_files(
        tmp_path / "mine",
        {
            "routes.yaml": MANIFEST.format(service="greetings").replace("[session]", "public"),
            "services/greetings.py": action(),
        },
    )
    for words in (("migrate",), ("apply",)):
        succeeds(*words, "--app", "mine", cwd=tmp_path, GATEWAY_DATABASE_URL=empty_database)
    command = [sys.executable, "-m", "gateway", "serve", "--workers", "2", "--app", "mine"]
    with started(command, tmp_path, {"GATEWAY_DATABASE_URL": empty_database}) as serving:
        assert f"services of {tmp_path}/mine" in serving.wait_for("serving on .*")[0]
        url = f"{serving.url()}/api/v1/greetings/create"
        wait_until(lambda: is_ready(serving.url()))
        for _ in range(4):
            answer = httpx2.post(url, json={"any": 1}).json()
            assert answer.get("data") == {"said": "hello"}, answer


def is_ready(url: str) -> bool:
    try:
        return bool(httpx2.get(f"{url}/-/ready").status_code == 200)
    except httpx2.HTTPError:
        return False
