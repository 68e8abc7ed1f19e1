"""`gateway init` and `gateway new`: the text of the manifest, and what is refused."""

from pathlib import Path

import pytest
from support.apps import action, application, write_files

from gateway.dev.scaffold.application import make_application
from gateway.dev.scaffold.files import ScaffoldError
from gateway.dev.scaffold.manifest_text import with_entry
from gateway.dev.scaffold.service import add_action
from gateway.manifest.check import check
from gateway.runtime.app_folder import AppFolder

ENTRY = "b.read:\n  method: GET\n"
LAYOUTS = {
    "last": (
        "routes:\n  a.read:\n    x: 1\n",
        "routes:\n  a.read:\n    x: 1\n  b.read:\n    method: GET\n",
    ),
    "no newline": ("routes:\n  a: {x: 1}", "routes:\n  a: {x: 1}\n  b.read:\n    method: GET\n"),
    "followed": (
        "routes:\n   a: 1   # one\n   # inner\n\n# outer\nother: 2\n",
        "routes:\n   a: 1   # one\n   # inner\n   b.read:\n     method: GET\n\n# outer\nother: 2\n",
    ),
    "spaced": (
        "routes:\n  a: 1\n\n  c: 2\n",
        "routes:\n  a: 1\n\n  c: 2\n\n  b.read:\n    method: GET\n",
    ),
    "empty": ("routes:   # none\nx: 1\n", "routes:  # none\n  b.read:\n    method: GET\nx: 1\n"),
    "empty braces": ("routes: {}\n", "routes:\n  b.read:\n    method: GET\n"),
    "braces": ("routes: {a: 1, }   # x\n", "routes: {a: 1, b.read: {method: GET}, }   # x\n"),
    "braces over lines": (
        "routes: {\n  a: 1  # one\n}\n",
        "routes: {\n  a: 1, b.read: {method: GET}  # one\n}\n",
    ),
    "absent": ("x: 1\n# end\n", "x: 1\n# end\n\nroutes:\n  b.read:\n    method: GET\n"),
    "documents": (
        "routes:\n  a: 1\n---\nroutes:\n  c: 1\n",
        "routes:\n  a: 1\n  b.read:\n    method: GET\n---\nroutes:\n  c: 1\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), LAYOUTS.values(), ids=LAYOUTS)
def test_entry_is_added_and_the_rest_stays(before: str, after: str) -> None:
    assert with_entry(before, "routes", ENTRY) == after


@pytest.mark.parametrize("text", ["{routes: {}}", "- 1\n", "routes: [1]\n"])
def test_other_layouts_are_refused(text: str) -> None:
    with pytest.raises(ScaffoldError):
        with_entry(text, "routes", ENTRY)


def test_new_application_is_valid_and_begins_with_the_line_for_editors(tmp_path: Path) -> None:
    made = make_application(tmp_path / "My Shop")
    manifest = tmp_path / "My Shop" / "routes.yaml"
    [state] = check(manifest)
    assert (state.namespace, list(state.routes)) == ("my_shop", ["greetings.create"])
    modeline = "# yaml-language-server: $schema=routes.schema.json"
    assert manifest.read_text().startswith(modeline)
    assert made.kept == []


def test_init_keeps_files_and_refuses_an_application(tmp_path: Path) -> None:
    write_files(tmp_path, {"README.md": "mine", "services/greetings.py": action()})
    assert make_application(tmp_path).kept == ["services/greetings.py", "README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(ScaffoldError, match=r"application folder already"):
        make_application(tmp_path)


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("greetings.create", {}, "has the route greetings.create already"),
        ("Greetings.create", {}, "is not the name of an action"),
        ("parcels.import", {}, "is not the name of an action"),
        ("parcels", {}, "is not the name of an action"),
        ("greetings.read", {"services/greetings.py": action("read")}, "has read already"),
        ("greetings.read", {"services/greetings.py": "def (:\n"}, "greetings.py:1: "),
        ("parcels.read", {"schemas/parcels/read.json": "{}"}, "exists already"),
        ("parcels.read", {"tests/test_parcels_read.py": ""}, "exists already"),
    ],
)
def test_new_overwrites_nothing(
    tmp_path: Path, name: str, files: dict[str, str], message: str
) -> None:
    app = application(tmp_path, files)
    before = files_of(tmp_path)
    with pytest.raises(ScaffoldError, match=message):
        add_action(app, name)
    assert files_of(tmp_path) == before


def test_new_action_joins_a_service_and_imports_what_it_needs(tmp_path: Path) -> None:
    source = '"""Greets."""\n\nfrom gateway import Call\n\nX = 1\n'
    app = application(tmp_path, {"services/greetings.py": source})
    add_action(app, "greetings.read")
    text = (tmp_path / "services" / "greetings.py").read_text()
    assert text.startswith('"""Greets."""\n\nfrom gateway import Reply\n\nfrom gateway import Call')
    assert text.endswith('return Reply({"name": call.params["name"]})\n')
    compile(text, "greetings.py", "exec")


def test_new_route_goes_to_the_file_that_has_its_service(tmp_path: Path) -> None:
    app = application(tmp_path, {})
    text = app.manifest.read_text()
    app.manifest.unlink()
    parcels = text.replace("greetings", "parcels").replace("acme", "other")
    parcels = parcels.replace("applications: {shop", "applications: {mall")
    write_files(tmp_path, {"routes/a.yaml": text, "routes/b.yaml": parcels})
    folder = type(app).find(str(tmp_path))
    assert "routes/b.yaml" in add_action(folder, "parcels.read")
    assert (tmp_path / "routes" / "a.yaml").read_text() == text


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("null", "null"),
        ("Straße Über", "strasse_uber"),
        ("a" * 120, "a" * 63),
        ("7", "application"),
    ],
)
def test_namespace_is_that_of_the_folder_and_valid(
    tmp_path: Path, name: str, namespace: str
) -> None:
    make_application(tmp_path / name)
    [state] = check(tmp_path / name / "routes.yaml")
    assert state.namespace == namespace


@pytest.mark.parametrize("name", ["services", "tests"])
def test_application_that_cannot_be_written_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("in the way")
    with pytest.raises(ScaffoldError, match="nothing was written"):
        make_application(tmp_path)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [name]


def test_action_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    make_application(tmp_path)
    (tmp_path / "schemas" / "parcels").write_text("in the way")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ScaffoldError, match="nothing was written"):
        add_action(AppFolder.find(str(tmp_path)), "parcels.create")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_application_with_pytest_s_options_gets_no_file_that_hides_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    assert "pytest.ini" not in make_application(tmp_path).written


@pytest.mark.parametrize("name", ["null.create", "things.true", "off.x"])
def test_name_that_yaml_does_not_read_as_text_is_refused(tmp_path: Path, name: str) -> None:
    make_application(tmp_path)
    with pytest.raises(ScaffoldError, match="choose another name"):
        add_action(AppFolder.find(str(tmp_path)), name)
    check(tmp_path / "routes.yaml")


def made(folder: Path) -> AppFolder:
    make_application(folder)
    return AppFolder.find(str(folder))


def test_action_is_added_to_a_folder_of_manifests(tmp_path: Path) -> None:
    make_application(tmp_path)
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes.yaml").rename(tmp_path / "routes" / "shop.yaml")
    app = AppFolder.find(str(tmp_path))
    for name in ("greetings.remove", "parcels.create"):
        add_action(app, name)
    [state] = check(app.manifest)
    assert {"greetings.remove", "parcels.create"} <= set(state.routes)


def test_line_ends_of_a_manifest_stay(tmp_path: Path) -> None:
    app = made(tmp_path)
    windows = app.manifest.read_bytes().replace(b"\n", b"\r\n")
    app.manifest.write_bytes(windows)
    add_action(app, "parcels.create")
    changed = app.manifest.read_bytes()
    assert changed.startswith(windows[:200])
    assert changed.count(b"\n") == changed.count(b"\r\n")


@pytest.mark.parametrize(
    "line",
    [
        "remove: object = create",
        "other, remove = create, create",
        "if True:\n    async def remove(call: Call) -> Reply: ...",
        "from x import remove",
    ],
)
def test_action_that_a_module_has_in_any_form_is_refused(tmp_path: Path, line: str) -> None:
    app = made(tmp_path)
    module = app.services / "greetings.py"
    module.write_text(f"{module.read_text()}\n\n{line}\n")
    with pytest.raises(ScaffoldError, match="has remove already"):
        add_action(app, "greetings.remove")


def test_import_goes_below_a_docstring_with_odd_line_ends(tmp_path: Path) -> None:
    app = made(tmp_path)
    module = app.services / "parcels.py"
    module.write_text('"""Parcels\f and\u2028 more."""\n')
    add_action(app, "parcels.create")
    assert '"""\n\nfrom gateway import Call, Reply\n' in module.read_text()


def test_service_that_is_a_package_or_too_long_is_refused(tmp_path: Path) -> None:
    app = made(tmp_path)
    (app.services / "parcels").mkdir()
    for name in ("parcels.create", f"{'x' * 64}.create", f"x.{'y' * 300}"):
        with pytest.raises(ScaffoldError):
            add_action(app, name)
    check(app.manifest)
