"""A route's params as a JSON Schema, compiled once and shared by routes with equal schemas."""

from gateway.registry.schema.param_schema import (
    ParamSchema,
    SchemaError,
    compile_schema,
    interned,
    subschemas,
)

__all__ = ["ParamSchema", "SchemaError", "compile_schema", "interned", "subschemas"]
