"""Mail and what else is sent to others: rows of an outbox, committed with the work they tell of."""
