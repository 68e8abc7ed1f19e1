"""`gateway init` and `gateway new`: files to begin an application or a service with."""
