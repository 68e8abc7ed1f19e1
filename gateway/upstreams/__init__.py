"""Who does the work of a route: the contract of an action, and what an action is given."""
