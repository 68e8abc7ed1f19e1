"""Who calls: tokens, sessions and what is shown of them."""
