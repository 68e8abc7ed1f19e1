"""`routes.yaml` as files: read, with the file and the line of each value."""
