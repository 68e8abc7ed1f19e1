"""The pytest plugin: a gateway with a database of its own for each test of an application."""

from gateway.testing.answers import Answer, assert_status

__all__ = ["Answer", "assert_status"]
