"""Mail and webhooks: messages are rows of an outbox, committed together with the work itself."""
