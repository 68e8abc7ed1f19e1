"""Validate: check params against the route's JSON Schema."""

from gateway.stages.validate.validator import validate

__all__ = ["validate"]
