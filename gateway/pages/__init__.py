"""What people and tools look at."""
