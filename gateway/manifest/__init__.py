"""The way of `routes.yaml` into PostgreSQL: read, check, apply."""
