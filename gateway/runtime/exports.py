"""Imports each export of `gateway` when it is first used (PEP 562).

An import of any module runs `gateway/__init__.py` first. If that imported the exports at once,
`gateway --help` would load the database driver and the compiled schemas.
"""

import sys
from importlib import import_module
from typing import Any

MODULES = {
    "RETRY_SINGLY": "gateway.upstreams.action",
    "Call": "gateway.upstreams.call",
    "Caller": "gateway.values",
    "Connection": "gateway.database.connect",
    "Database": "gateway.database.handle",
    "DatabaseError": "gateway.database.errors",
    "ForeignKeyViolation": "gateway.database.errors",
    "Message": "gateway.outbox.transport",
    "Outcome": "gateway.upstreams.action",
    "QueuedMail": "gateway.values",
    "Rejection": "gateway.values",
    "RenderCache": "gateway.database.render_cache",
    "Reply": "gateway.values",
    "Session": "gateway.values",
    "UniqueViolation": "gateway.database.errors",
    "batched": "gateway.upstreams.action",
    "emails": "gateway.identity.emails",
    "lifetime": "gateway.identity.lifetime",
    "load_queries": "gateway.database.sql",
    "statuses": "gateway.statuses",
    "tokens": "gateway.identity.tokens",
    "views": "gateway.identity.views",
}
"""The module of each export, as in `gateway/__init__.py`; some exports are modules themselves."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any export
    """Import an export of `gateway`. Raises AttributeError for any other name."""
    if name not in MODULES:
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    module = import_module(MODULES[name])
    export = module if MODULES[name].endswith(f".{name}") else getattr(module, name)
    # From now on Python finds the export without this function.
    setattr(sys.modules["gateway"], name, export)
    return export
