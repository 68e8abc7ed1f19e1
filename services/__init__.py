"""The services: one module each, one async function for each action."""
