"""The stages of a request: each makes the next value from the ones before, and knows no other."""
