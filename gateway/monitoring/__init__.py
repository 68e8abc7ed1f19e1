"""What operators watch: the figures of all workers, the last hour, and a verdict in words."""
