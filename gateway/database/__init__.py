"""PostgreSQL: connections, a call's handle on them, named queries, migrations."""
