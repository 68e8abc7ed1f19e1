"""Where services come from: the application folder, installed packages, Plano's own."""

import asyncio
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.apps import action, application, installed, write_files
from support.harness import ROOT

from gateway.database.migrate import MigrationError, find_all
from gateway.runtime.app_folder import AppFolder
from gateway.upstreams import sources
from gateway.upstreams.python import Actions
from gateway.upstreams.sources import ServiceError

PACKAGES = ("services", "plano_services", "acme_services", "acme_parcels")


def _modules() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] in PACKAGES}


@pytest.fixture(autouse=True)
def same_modules_as_before() -> Iterator[None]:
    """Other tests have imported `services`."""
    before = {name: sys.modules[name] for name in _modules()}
    yield
    for name in _modules():
        del sys.modules[name]
    sys.modules.update(before)


def said(actions: Actions, name: str) -> Any:
    function: Any = actions.find(name)
    return asyncio.run(function(None)).data["said"]


def file_of(actions: Actions, name: str) -> Path:
    function: Any = actions.find(name)
    return Path(inspect.getfile(function))


def test_services_of_the_folder_are_loaded_without_a_place_on_the_import_path(
    tmp_path: Path,
) -> None:
    helper = "from services.words import WORD\nfrom gateway import Call, Reply\n\n\n"
    app = application(
        tmp_path,
        {
            "services/greetings.py": helper
            + 'async def create(call: Call) -> Reply:\n    return Reply({"said": WORD})\n',
            "services/words.py": 'WORD = "salve"\n',
        },
    )
    actions = Actions.load(app)
    assert said(actions, "greetings.create") == "salve"
    assert str(tmp_path) not in sys.path


def test_folder_with_an_init_file_is_run_as_a_package(tmp_path: Path) -> None:
    files = {"services/__init__.py": 'WORD = "ave"\n', "services/greetings.py": action()}
    Actions.load(application(tmp_path, files))
    assert sys.modules["services"].WORD == "ave"


def test_two_applications_one_after_the_other_do_not_mix(tmp_path: Path) -> None:
    for name in ("one", "two"):
        app = application(tmp_path / name, {f"services/{name}.py": action(said=name)})
        actions = Actions.load(app)
        own = [each for each in actions.names() if each.partition(".")[0] not in sources.SHARED]
        assert own == [f"{name}.create"]
    assert {"order_stages.create", "statuses.index"} <= {*Actions.load(AppFolder.plano()).names()}


def test_service_that_the_application_lacks_comes_from_plano_if_it_needs_no_tables_of_plano(
    tmp_path: Path,
) -> None:
    actions = Actions.load(application(tmp_path, {"services/greetings.py": action()}))
    services = {name.partition(".")[0] for name in actions.names()}
    assert services == {"greetings", "clients", "sessions", "users"}
    assert file_of(actions, "sessions.create") == ROOT / "services" / "sessions.py"


def test_service_of_the_application_replaces_that_of_plano(tmp_path: Path) -> None:
    actions = Actions.load(application(tmp_path, {"services/users.py": action("greet", "mine")}))
    assert [name for name in actions.names() if name.startswith("users.")] == ["users.greet"]
    assert said(actions, "users.greet") == "mine"


def test_application_without_services_has_no_code_of_its_own(tmp_path: Path) -> None:
    actions = Actions.load(application(tmp_path, {}))
    assert actions.find("order_stages.create") is None
    assert f"looked in {tmp_path}/services (there is no such folder)" in actions.searched


def test_entry_point_names_a_module_or_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "acme_parcels.py": action(said="parcel"),
        "acme_services/__init__.py": action("ping", "package"),
        "acme_services/labels.py": action(said="label"),
        "acme_services/migrations/0001_labels.sql": "create table labels (id int);",
    }
    entries = {"parcels": "acme_parcels", "acme": "acme_services"}
    monkeypatch.syspath_prepend(installed(tmp_path / "site", entries, files))
    app = application(tmp_path, {"services/migrations/0001_own.sql": ""})
    actions = Actions.load(app)
    assert said(actions, "parcels.create") == "parcel"
    assert said(actions, "labels.create") == "label"
    assert said(actions, "acme.ping") == "package"
    assert "entry points of the group gateway.services (acme, parcels)" in actions.searched
    own = [each.name for each in find_all(app) if not each.name.startswith("gateway/")]
    assert own == ["services/0001_own.sql", "acme/0001_labels.sql"]


def test_entry_point_replaces_a_service_of_plano_in_plano(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"acme_parcels.py": action("index", "mine")}
    monkeypatch.syspath_prepend(installed(tmp_path, {"statuses": "acme_parcels"}, files))
    actions = Actions.load(AppFolder.plano())
    assert [name for name in actions.names() if name.startswith("statuses.")] == ["statuses.index"]


def test_action_that_two_sources_of_the_application_declare_names_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed(tmp_path / "s", {"greetings": "acme_parcels"}, {"acme_parcels.py": action()})
    monkeypatch.syspath_prepend(site)
    app = application(tmp_path, {"services/greetings.py": action()})
    with pytest.raises(ServiceError) as caught:
        Actions.load(app)
    assert str(caught.value) == (
        f"the action greetings.create is declared twice, in {tmp_path}/services/greetings.py and "
        f"{site}/acme_parcels.py: rename one of the two"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def\n", "greetings.py:1: SyntaxError: invalid syntax"),
        ("\nimport nonesuch\n", "greetings.py:2: ModuleNotFoundError: No module named 'nonesuch'"),
        ("\n\nx = y\n", "greetings.py:3: NameError: name 'y' is not defined"),
        ("from services import words\n", "words.py:2: RuntimeError: not today"),
        ("import json\njson.loads('')\n", "greetings.py:2: JSONDecodeError: Expecting value"),
        ("raise ValueError\n", "greetings.py:1: ValueError"),
    ],
)
def test_service_that_cannot_be_imported_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    words = '"""Words."""\nraise RuntimeError("not today")\n'
    files = {"services/greetings.py": code}
    if "words" in code:
        files["services/words.py"] = words
    app = application(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServiceError) as caught:
        Actions.load(app)
    assert str(caught.value).startswith(f"services/{message}")
    assert "\n" not in str(caught.value)


def test_package_of_services_that_cannot_be_imported_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = application(tmp_path, {"services/__init__.py": "x = y\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServiceError, match=r"^services/__init__\.py:1: NameError"):
        Actions.load(app)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def say(call):\n    return 1\n", "has say, but it is not an async function"),
        (action("speak"), "has the actions: speak"),
        ("say = 1\n", "has no actions"),
        (action("say"), ""),
    ],
)
def test_action_that_a_module_lacks_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    actions = Actions.load(application(tmp_path, {"services/words.py": code}))
    assert actions.why_missing("words.say") == (f"services/words.py {why}" if why else "")
    assert actions.why_missing("nothing.say") == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("acme_parcels", "the entry point acme .* cannot be imported: No module named"),
        ("json:loads", "the entry point acme .* must name a module or a package; json:loads is"),
    ],
)
def test_entry_point_without_a_module_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "site", {"acme": value}, {}))
    with pytest.raises(ServiceError, match=message):
        Actions.load(application(tmp_path, {}))


@pytest.mark.parametrize("name", ["services", "gateway"])
def test_entry_point_whose_migrations_would_get_a_taken_label_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = {"acme_services/__init__.py": "", "acme_services/migrations/0001_a.sql": ""}
    monkeypatch.syspath_prepend(installed(tmp_path / "site", {name: "acme_services"}, files))
    with pytest.raises(MigrationError, match=f"the entry point {name} needs another name"):
        find_all(application(tmp_path, {}))


def test_forgotten_services_and_installed_packages_are_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "acme_parcels.py": action(said="old"),
        "acme_services/__init__.py": "",
        "acme_services/labels.py": action(said="old"),
    }
    entries = {"parcels": "acme_parcels", "labels": "acme_services.labels"}
    site = installed(tmp_path / "site", entries, files)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    app = application(tmp_path, {"services/greetings.py": action(said="old")})
    Actions.load(app)
    assert {site, site / "acme_services", app.services} <= set(sources.folders(app))
    write_files(
        tmp_path,
        {
            "services/greetings.py": action(said="new"),
            "site/acme_parcels.py": action(said="new"),
            "site/acme_services/labels.py": action(said="new"),
        },
    )
    sources.clear_imports()
    actions = Actions.load(app)
    names = ("greetings.create", "parcels.create", "labels.create")
    assert [said(actions, name) for name in names] == ["new"] * 3


def test_folders_beside_a_single_module_are_not_code_of_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"acme_parcels.py": action(), "other/__init__.py": "", "other/inner/a.py": ""}
    site = installed(tmp_path / "site", {"parcels": "acme_parcels"}, files)
    monkeypatch.syspath_prepend(site)
    app = application(tmp_path / "app", {"services/greetings.py": action()})
    assert sources.folders(app) == sorted([app.services, site])


def test_folder_of_a_package_that_cannot_be_imported_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"acme_services/__init__.py": "def\n", "acme_services/parcels.py": action()}
    site = installed(tmp_path / "site", {"acme": "acme_services"}, files)
    monkeypatch.syspath_prepend(site)
    assert site / "acme_services" in sources.folders(application(tmp_path / "app", {}))
