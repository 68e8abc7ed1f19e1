"""The actions that this worker has code for, by `service.action`.

A registry row names an action and never a module: only the modules of `services/`, and packages
that announce themselves under the entry-point group `gateway.services`, are ever imported.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from types import ModuleType
from typing import TypeAlias

from gateway.values import Call, Reply

Action: TypeAlias = Callable[[Call], Awaitable[Reply]]

PACKAGE = "services"
ENTRY_POINTS = "gateway.services"


class Actions:
    """A dictionary of actions, made by importing the services."""

    def __init__(self, found: Mapping[str, Action]) -> None:
        self._found = found

    @classmethod
    def load(cls) -> "Actions":
        """Import all services. Raises what importing them raises, and ValueError on a clash."""
        found: dict[str, Action] = {}
        for name, module in _modules():
            for action, function in _actions(module):
                key = f"{name}.{action}"
                if key in found:
                    message = f"two services offer the action {key}"
                    raise ValueError(message)
                found[key] = function
        return cls(found)

    def find(self, handler: str) -> Action | None:
        """The action of this name, or None where this worker has no such code."""
        return self._found.get(handler)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._found)


def forget() -> None:
    """Let the next load import the modules of `services/` anew, as `gateway dev` does on save."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def _modules() -> list[tuple[str, ModuleType]]:
    package = importlib.import_module(PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    own = [(name, importlib.import_module(f"{PACKAGE}.{name}")) for name in names]
    others = [(entry.name, entry.load()) for entry in metadata.entry_points(group=ENTRY_POINTS)]
    return own + others


def _actions(module: ModuleType) -> list[tuple[str, Action]]:
    """The public async functions that the module itself defines."""
    return [
        (name, function)
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    ]
