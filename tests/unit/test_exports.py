"""What `gateway` exports: one list for type checkers, the same one at run time."""

import ast
import inspect
from importlib import import_module

import pytest

import gateway
from gateway.runtime.exports import MODULES


def test_exports_are_those_that_type_checkers_see() -> None:
    [block] = [node for node in ast.parse(inspect.getsource(gateway)).body if type(node) is ast.If]
    imported = {
        name.name: f"{node.module}.{name.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    joined = {
        name: module if module.endswith(f".{name}") else f"{module}.{name}"
        for name, module in MODULES.items()
    }
    assert joined == imported
    assert list(MODULES) == gateway.__all__


@pytest.mark.parametrize("name", MODULES)
def test_export_is_the_object_of_its_module(name: str) -> None:
    module = import_module(MODULES[name])
    assert getattr(gateway, name) is getattr(module, name, module)


def test_unknown_name_is_not_exported() -> None:
    with pytest.raises(AttributeError, match="module 'gateway' has no attribute 'Pipelines'"):
        gateway.Pipelines  # type: ignore[attr-defined]  # noqa: B018
