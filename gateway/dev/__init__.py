"""`gateway dev`: an embedded PostgreSQL, demo data, a Mandrill stand-in, reload on save."""
