"""Per-split statistics."""
