"""From `routes.yaml` to PostgreSQL: read, check, plan, apply; and back: dump, history."""
