"""Actions that are Python functions of this process.

A registry row names an action and never a module: only the modules of `services/`, and packages
with an entry point in the group `gateway.services`, are imported.
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
"""An action as a service's module declares it."""


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
        # Once SQL is sent, the call is finished, however late.
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
        """Import all services.

        Raises what an import raises, and ValueError if two services declare the same action.
        """
        declared: dict[str, Declared] = {}
        for service, module in _modules():
            for action, function in _actions(module):
                name = f"{service}.{action}"
                if name in declared:
                    raise ValueError(f"two services declare the action {name}")
                declared[name] = function
        return cls(declared)

    def find(self, name: str) -> Declared | None:
        """The declaration of an action; None if no installed service has it."""
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
    """Let the next `Actions.load` import the modules of `services/` again: for `gateway dev`."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def _modules() -> list[tuple[str, ModuleType]]:
    package = importlib.import_module(PACKAGE)
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    own = [(name, importlib.import_module(f"{PACKAGE}.{name}")) for name in names]
    installed = [(entry.name, entry.load()) for entry in metadata.entry_points(group=ENTRY_POINTS)]
    return own + installed


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
