"""A route's params as a JSON Schema, compiled once and shared by routes with equal schemas."""

from gateway.registry.schema.names import may_be_shown
from gateway.registry.schema.param_schema import (
    INT_MAX,
    ParamSchema,
    SchemaError,
    compile_schema,
    interned,
    subschemas,
)

__all__ = [
    "INT_MAX",
    "ParamSchema",
    "SchemaError",
    "compile_schema",
    "interned",
    "may_be_shown",
    "subschemas",
]
