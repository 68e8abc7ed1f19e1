"""The actions that this worker has code for, by `service.action`.

A registry row names an action and never a module: only the modules of `services/`, and packages
that announce themselves under the entry-point group `gateway.services`, are ever imported.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from importlib import metadata
from types import ModuleType
from typing import Final, NamedTuple, Protocol, TypeAlias

from gateway.database.handle import Database
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply


class RetrySingly:
    """What an action says of a call that has to be done without the others of its batch."""


RETRY_SINGLY: Final = RetrySingly()

Outcome: TypeAlias = Reply | Rejection | RetrySingly
"""Of one call of a batch: a reply, a refusal, or that nothing was done and it has to go alone."""


class BatchFunction(Protocol):
    """What a batched action is: see `batched`."""

    __module__: str

    async def __call__(
        self, calls: Sequence[Call], db: Database, *, singly: bool
    ) -> Sequence[Outcome]:
        """An outcome for each call; only one that is `singly` may wait for what others hold."""


class BatchedAction(NamedTuple):
    """An action that is given the calls that wait for it together: see `batched`."""

    perform: BatchFunction
    partition_key: Callable[[Call], Hashable] | None


def batched(
    partition_key: Callable[[Call], Hashable] | None = None,
) -> Callable[[BatchFunction], BatchedAction]:
    """Declare an action that is given the calls that wait for it together, and commits once.

    It returns one outcome for each call, in their order, and writes in one statement or one
    transaction, so that an error undoes all of it. It skips what other transactions have locked,
    with the outcome RETRY_SINGLY: it is then called again with that call alone (`singly`), and may
    wait. Calls with the same `partition_key` never run at the same time, and run in the order of
    their arrival.
    """
    return lambda perform: BatchedAction(perform, partition_key)


Single: TypeAlias = Callable[[Call], Awaitable[Reply]]
Action: TypeAlias = Single | BatchedAction

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
    """The public async functions that the module itself defines, and its batched actions."""
    return [
        (name, value)
        for name, value in inspect.getmembers(module, _is_action)
        if not name.startswith("_") and _source(value).__module__ == module.__name__
    ]


def _is_action(value: object) -> bool:
    return isinstance(value, BatchedAction) or inspect.iscoroutinefunction(value)


def _source(action: Action) -> Callable[..., object]:
    return action.perform if isinstance(action, BatchedAction) else action
