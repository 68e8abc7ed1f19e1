"""The application folder: a manifest, its schemas, and the services that its routes call.

Not to be confused with the applications that a manifest declares, which are clients of the gateway.
Plano's own folder is `gateway/plano/` in the wheel, and the root of the repository.
"""

from dataclasses import dataclass
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path

from gateway.runtime.errors import OperatorError

ENTRY_POINTS = "gateway.services"
_PACKAGE = Path(__file__).parents[1]
_PLANO_FOLDERS = (_PACKAGE / "plano", _PACKAGE.parent)


class AppFolderError(OperatorError):
    """The folder is not an application folder; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class AppFolder:
    """An application folder; `manifest` is `routes.yaml`, or the folder `routes` of manifests."""

    path: Path
    manifest: Path

    @classmethod
    def find(cls, name: str = "") -> "AppFolder":
        """The application folder of this name.

        Without a name, it is the working directory if that has a manifest, otherwise Plano's own.
        Raises AppFolderError.
        """
        folder = Path(name)
        if manifest := _manifest_in(folder):
            return cls(folder, manifest)
        if not name:
            return cls.plano()
        reason = "has neither routes.yaml nor a folder routes of manifests"
        raise AppFolderError(f"{folder} {reason if folder.is_dir() else 'is not a folder'}")

    @classmethod
    def plano(cls) -> "AppFolder":
        """Plano's own application folder. Raises AppFolderError if it was not installed."""
        for folder in _PLANO_FOLDERS:
            if manifest := _manifest_in(folder):
                return cls(folder, manifest)
        raise AppFolderError(
            "there is no routes.yaml here: name an application folder with --app or GATEWAY_APP"
        )

    @property
    def services(self) -> Path:
        """The folder of the services' modules, absolute; it may be missing."""
        return self.path.resolve() / "services"

    @property
    def is_plano(self) -> bool:
        """Whether this is Plano's own application folder."""
        return self.path.resolve() in [folder.resolve() for folder in _PLANO_FOLDERS]


def installed_services() -> list[EntryPoint]:
    """The entry points of the group `gateway.services`, each once, sorted by name."""
    # A package that is on the import path twice lists its entry points twice.
    entries = {(e.name, e.value): e for e in metadata.entry_points(group=ENTRY_POINTS)}
    return [entries[key] for key in sorted(entries)]


def _manifest_in(folder: Path) -> Path | None:
    file, several = folder / "routes.yaml", folder / "routes"
    if file.exists():
        return file
    has_manifests = any(path.suffix in {".yaml", ".yml"} for path in _files(several))
    return several if has_manifests else None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
