"""The documentation of the registry: pages that are made from the records of the routes."""
