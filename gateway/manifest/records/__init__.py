"""Records as PostgreSQL stores them: built from a manifest, compared, and written back as one."""
