"""Chooses settings by the validation split, and says what choosing has cost."""
