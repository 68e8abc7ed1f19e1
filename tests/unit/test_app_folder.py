"""The application folder: where it is found."""

from pathlib import Path

import pytest
from support.harness import ROOT

from gateway.runtime.app_folder import AppFolder, AppFolderError


def test_working_directory_with_a_manifest_is_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routes.yaml").touch()
    monkeypatch.chdir(tmp_path)
    app = AppFolder.find()
    assert (app.manifest, app.services) == (Path("routes.yaml"), tmp_path / "services")
    assert not app.is_plano


def test_folder_of_manifests_makes_an_application(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    with pytest.raises(AppFolderError, match=r"has neither routes\.yaml nor a folder routes"):
        AppFolder.find(str(tmp_path))
    (tmp_path / "routes" / "a.yaml").touch()
    assert AppFolder.find(str(tmp_path)).manifest == tmp_path / "routes"


def test_application_elsewhere_is_that_of_plano(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = AppFolder.find()
    assert (app.path, app.manifest, app.is_plano) == (ROOT, ROOT / "routes.yaml", True)


def test_named_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AppFolderError, match="nowhere is not a folder"):
        AppFolder.find(str(tmp_path / "nowhere"))
