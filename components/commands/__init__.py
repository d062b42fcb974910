"""What commands do beyond a run: predict, evaluate, describe. No stage depends on it."""
