"""What a manifest must hold: rules that need no database."""
