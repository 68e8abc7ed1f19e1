"""Actions that are Python functions of this process.

A registry row names an action and never a module: only the services that `sources` finds are
imported.
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import TypeAlias

from gateway import statuses
from gateway.database.pool import Pool
from gateway.runtime.app_folder import AppFolder
from gateway.runtime.lazy_timeout import LazyTimeout
from gateway.upstreams import idempotency, sources
from gateway.upstreams.action import Action, Batch, Function
from gateway.upstreams.batch import BatchedAction
from gateway.upstreams.call import Call
from gateway.upstreams.sources import ServiceError
from gateway.values import Rejection, Reply

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
    """The actions that the installed services declare, by `service.action`.

    `searched` says where they were looked for, as the end of a sentence.
    """

    def __init__(
        self,
        declared: Mapping[str, Declared],
        searched: str = "",
        services: Mapping[str, ModuleType] = MappingProxyType({}),
    ) -> None:
        self._declared = declared
        self._services = services
        self.searched = searched

    @classmethod
    def load(cls, app: AppFolder | None = None) -> "Actions":
        """Import the services of an application folder, by default that of the working directory.

        Raises ServiceError if a module cannot be imported, or two services declare the same action.
        """
        app = app or AppFolder.find()
        declared: dict[str, Declared] = {}
        services: dict[str, ModuleType] = {}
        for service, module in sources.modules(app):
            services[service] = module
            for action, function in _actions(module):
                name = f"{service}.{action}"
                if name in declared:
                    raise ServiceError(_clash(name, declared[name], function))
                declared[name] = function
        return cls(declared, sources.searched(app), services)

    def find(self, name: str) -> Declared | None:
        """The declaration of an action; None if no installed service has it."""
        return self._declared.get(name)

    def why_missing(self, name: str) -> str:
        """Why an action has no code although its service has; empty if the service has none."""
        service, _, action = name.partition(".")
        module = self._services.get(service)
        if module is None or name in self._declared or not module.__file__:
            return ""
        file = sources.relative(module.__file__)
        function = getattr(module, action, None)
        if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
            return f"{file} has {action}, but it is not an async function"
        start = f"{service}."
        actions = [other.removeprefix(start) for other in self.names() if other.startswith(start)]
        return f"{file} has {'the actions: ' + ', '.join(actions) if actions else 'no actions'}"

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._declared)

    def batched(self) -> set[str]:
        """The names of those that get all waiting calls together."""
        return {name for name, declared in self._declared.items() if isinstance(declared, Batch)}

    def bind(self, pool: Pool) -> Mapping[str, Action]:
        """The actions as a worker performs them; batches use the pool's connections."""
        return {
            name: BatchedAction(declared, pool)
            if isinstance(declared, Batch)
            else PythonAction(declared)
            for name, declared in self._declared.items()
        }


def _clash(name: str, *declared: Declared) -> str:
    files = " and ".join(inspect.getfile(_source(each)) for each in declared)
    return f"the action {name} is declared twice, in {files}: rename one of the two"


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
