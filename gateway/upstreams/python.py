"""Actions that are Python functions of this process.

A registry row names an action and never a module: only the modules of `services/`, and packages
that announce themselves under the entry-point group `gateway.services`, are ever imported.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from types import ModuleType
from typing import TypeAlias

from gateway import statuses
from gateway.database.pool import Pool
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.upstreams import idempotency
from gateway.upstreams.action import Action, Batch, Function
from gateway.upstreams.batch import BatchedAction
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply

PACKAGE = "services"
ENTRY_POINTS = "gateway.services"

Declared: TypeAlias = Function | Batch
"""What a module of a service declares as an action."""


class PythonAction:
    """An action that is one async function."""

    __slots__ = ("_function",)

    def __init__(self, function: Function) -> None:
        self._function = function

    async def perform(self, call: Call) -> Reply:
        """See `Action.perform`."""
        function, claim = self._function, call.claim
        work = idempotency.run_once(call, claim, function) if claim else function(call)
        timeout = LazyTimeout(work, call.deadline)
        # Once SQL is sent the outcome counts, however late it comes.
        call.db.on_sent = timeout.lift
        try:
            return await timeout
        except TimeoutError as error:
            if not timeout.expired:
                raise
            raise Rejection(statuses.SERVICE_TIMEOUT) from error


class Actions:
    """The actions that the installed services declare, by `service.action`."""

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self._declared = declared

    @classmethod
    def load(cls) -> "Actions":
        """Import all services. Raises what importing them raises, and ValueError on a clash."""
        declared: dict[str, Declared] = {}
        for service, module in _modules():
            for action, function in _actions(module):
                name = f"{service}.{action}"
                if name in declared:
                    message = f"two services offer the action {name}"
                    raise ValueError(message)
                declared[name] = function
        return cls(declared)

    def find(self, name: str) -> Declared | None:
        """The function of an action, None if no service here declares it."""
        return self._declared.get(name)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._declared)

    def bind(self, pool: Pool) -> Mapping[str, Action]:
        """The actions as a worker performs them; batches use the pool's connections."""
        return {
            name: BatchedAction(declared, pool)
            if isinstance(declared, Batch)
            else PythonAction(declared)
            for name, declared in self._declared.items()
        }


def reload() -> None:
    """Let the next load import the modules of `services/` again, as `gateway dev` does on save."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def _modules() -> list[tuple[str, ModuleType]]:
    package = importlib.import_module(PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    own = [(name, importlib.import_module(f"{PACKAGE}.{name}")) for name in names]
    others = [(entry.name, entry.load()) for entry in metadata.entry_points(group=ENTRY_POINTS)]
    return own + others


def _actions(module: ModuleType) -> list[tuple[str, Declared]]:
    """The public async functions that the module itself defines, and its batches."""
    return [
        (name, value)
        for name, value in inspect.getmembers(module, _is_action)
        if not name.startswith("_") and _source(value).__module__ == module.__name__
    ]


def _is_action(value: object) -> bool:
    return isinstance(value, Batch) or inspect.iscoroutinefunction(value)


def _source(declared: Declared) -> Callable[..., object]:
    return declared.function if isinstance(declared, Batch) else declared
