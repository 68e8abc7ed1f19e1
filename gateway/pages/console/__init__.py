"""The console of the admin port: what operators see, and the little that they can do there."""
