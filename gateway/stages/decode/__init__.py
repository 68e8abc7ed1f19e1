"""Decode: path, body and query to one object of params."""

from gateway.stages.decode.decoder import decode

__all__ = ["decode"]
