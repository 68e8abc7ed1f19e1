"""The services: a module for each, an async function for each action."""
