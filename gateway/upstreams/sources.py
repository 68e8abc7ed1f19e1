"""Where the code of services comes from, and how it is imported.

A service is a module of the application folder's `services/`, or of a package or module with an
entry point in the group `gateway.services`. Plano's own services that need the gateway's tables
alone are used where the application folder does not have them.
"""

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

from gateway.runtime import events
from gateway.runtime.app_folder import ENTRY_POINTS, AppFolder, installed_services
from gateway.runtime.errors import OperatorError

PACKAGE = "services"
PLANO_PACKAGE = "plano_services"
"""The package name of Plano's own services beside those of another application folder."""

SHARED = ("clients", "sessions", "users")
"""Plano's services that need the gateway's tables alone."""


SLOW_IMPORT = 5.0
"""Seconds after which an import that still runs is logged."""


class ServiceError(OperatorError):
    """The services cannot be loaded; the text says which file to change."""


def modules(app: AppFolder) -> Iterator[tuple[str, ModuleType]]:
    """The services of an application folder with their modules; imports them.

    Raises ServiceError for a module that cannot be imported, with file and line, and for an entry
    point that cannot be used.
    """
    installed = [pair for entry in installed_services() for pair in _of_entry(entry)]
    names = {name for name, _ in installed}
    for name, module in _of_folder(PACKAGE, app.services):
        # An installed service replaces Plano's own of the same name, but not the folder's.
        if not (app.is_plano and name in names):
            names.add(name)
            yield name, module
    yield from installed
    if not app.is_plano:
        missing = set(SHARED) - names
        yield from _of_folder(PLANO_PACKAGE, AppFolder.plano().services, missing)


def searched(app: AppFolder) -> str:
    """Where `modules` looks, as the end of a sentence."""
    missing = "" if app.services.is_dir() else " (there is no such folder)"
    shared = "" if app.is_plano else f", in Plano's own {', '.join(SHARED)}"
    entries = ", ".join(entry.name for entry in installed_services()) or "none"
    return (
        f"looked in {app.path / PACKAGE}{missing}{shared}, and in the entry points of the group "
        f"{ENTRY_POINTS} ({entries})"
    )


def folders(app: AppFolder) -> list[Path]:
    """The existing folders whose files are the code of the services.

    Installed packages are found without being imported: while one cannot be imported, the save that
    repairs it must be seen too.
    """
    specs = [spec for entry in installed_services() if (spec := _spec(entry.module))]
    # Beside a single module there may be every other installed package.
    modules = [Path(spec.origin).parent for spec in specs if spec.origin]
    packages = [Path(path) for spec in specs for path in spec.submodule_search_locations or ()]
    roots = [root for root in (app.services, *packages) if root.is_dir()]
    inner = [file.parent for root in roots for file in root.rglob("*.py")]
    return sorted({*modules, *roots, *inner})


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, SyntaxError, ValueError):
        return None


def clear_imports() -> None:
    """Let the next `modules` import all services again."""
    importlib.invalidate_caches()
    for package in {PACKAGE, PLANO_PACKAGE, *map(_package_of, installed_services())}:
        _forget_package(package)


def _of_folder(
    package: str, folder: Path, names: set[str] | None = None
) -> Iterator[tuple[str, ModuleType]]:
    """The modules of a folder, all or those in `names`, imported as parts of a package."""
    if not folder.is_dir():
        return
    module = _import_package(package, folder)
    yield from _of_package(module, names)


def _of_package(
    package: ModuleType, names: set[str] | None = None
) -> Iterator[tuple[str, ModuleType]]:
    for info in pkgutil.iter_modules(package.__path__):
        if names is None or info.name in names:
            yield info.name, _import_module(f"{package.__name__}.{info.name}", package.__path__[0])


@contextlib.contextmanager
def _log_if_slow(module: str) -> Iterator[None]:
    """Log an import that takes long, since the worker does not serve until it ends."""
    timer = threading.Timer(
        SLOW_IMPORT, events.emit, (events.WORKER_IMPORT_SLOW,), {"module": module}
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _import_module(name: str, folder: str) -> ModuleType:
    try:
        with _log_if_slow(name):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ServiceError(_describe(error, Path(folder))) from error


def _describe(error: BaseException, folder: Path) -> str:
    """An error of an import in one line, with the line of the folder's files that caused it."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    text = ": ".join(part for part in (type(error).__name__, message) if part)
    frames = traceback.extract_tb(error.__traceback__)
    # The last of the folder's own frames: the frames after it are those of Python and libraries.
    lines = [(frame.filename, frame.lineno) for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append((error.filename, error.lineno))
    own = [(file, line) for file, line in lines if folder.resolve() in Path(file).resolve().parents]
    return f"{relative(own[-1][0])}:{own[-1][1]}: {text}" if own else text


def relative(file: str) -> str:
    """A file as a reader in the working directory names it."""
    short = os.path.relpath(file)
    return file if short.startswith(os.pardir) else short


def _import_package(name: str, folder: Path) -> ModuleType:
    """Import a folder as a package of this name.

    The folder's parent is not put on the import path, where its other files would shadow modules of
    the same names.
    """
    loaded = sys.modules.get(name)
    if loaded and [Path(path).resolve() for path in loaded.__path__] == [folder.resolve()]:
        return loaded
    _forget_package(name)
    module = importlib.util.module_from_spec(_package_spec(name, folder))
    sys.modules[name] = module
    if module.__spec__ and module.__spec__.loader and module.__file__:
        try:
            module.__spec__.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise ServiceError(_describe(error, folder)) from error
    return module


def _package_spec(name: str, folder: Path) -> ModuleSpec:
    file, places = folder / "__init__.py", [str(folder)]
    spec = None
    if file.exists():
        spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=places)
    if spec is None:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = places
    return spec


def _forget_package(package: str) -> None:
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}."):
            del sys.modules[name]


def _of_entry(entry: EntryPoint) -> Iterator[tuple[str, ModuleType]]:
    """The services of an entry point: a module is one, a package has one for each module."""
    try:
        with _log_if_slow(entry.value):
            module = entry.load()
    except ImportError as error:
        raise ServiceError(
            f"the entry point {entry.name} of the group {ENTRY_POINTS} cannot be imported: {error}"
        ) from error
    if not isinstance(module, ModuleType):
        raise ServiceError(
            f"the entry point {entry.name} of the group {ENTRY_POINTS} must name a module or a "
            f"package; {entry.value} is neither"
        )
    yield entry.name, module
    if hasattr(module, "__path__"):
        yield from _of_package(module)


def _package_of(entry: EntryPoint) -> str:
    """The package of an entry point; its modules may import each other, so all are reloaded."""
    loaded = sys.modules.get(entry.module)
    if hasattr(loaded, "__path__"):
        return entry.module
    return entry.module.rpartition(".")[0] or entry.module
