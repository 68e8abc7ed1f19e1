"""What tests stand on: databases, servers, callers, manifests, faults."""
