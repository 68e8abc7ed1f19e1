"""The registry as OpenAPI 3.1: documents that are made from the records of the routes."""
